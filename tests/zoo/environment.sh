# caught by the sandbox: both runs give the same
env | sort >out
