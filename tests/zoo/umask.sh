# caught by the sandbox: both runs give the same
umask >out; : >file; stat -c %a file >>out
