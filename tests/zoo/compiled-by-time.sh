# caught by the second run: out: bytes
echo "const char *built = \"$(date +%T)\";" >a.c; cc -c a.c -o out; rm a.c
