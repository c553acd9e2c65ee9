# caught by the sandbox: both runs give the same
nproc >out; grep -c ^processor /proc/cpuinfo >>out; getconf _NPROCESSORS_ONLN >>out
