# caught by the sandbox: both runs give the same
pwd >out; echo "$0 $HOME $TMPDIR $PWD" >>out
