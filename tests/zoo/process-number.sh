# caught by the sandbox: both runs give the same
echo $$ >out; sh -c 'echo $$ $PPID' >>out
