# caught by the sandbox: both runs give the same
echo 'int main(void) { return 0; }' >a.c; cc -g -c a.c -o out
