# caught by the sandbox: both runs give the same
cat /proc/meminfo /proc/vmstat /proc/zoneinfo >out
