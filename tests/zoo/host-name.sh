# caught by the sandbox: both runs give the same
hostname >out; uname -n >>out
