# caught by the sandbox: both runs give the same
cat /proc/cpuinfo >out
