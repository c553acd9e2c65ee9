# caught by the sandbox: both runs give the same
cat /proc/sys/kernel/random/boot_id /proc/cmdline /proc/version >out
