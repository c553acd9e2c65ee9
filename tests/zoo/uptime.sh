# caught by the sandbox: both runs give the same
cat /proc/uptime /proc/interrupts /proc/diskstats >out
