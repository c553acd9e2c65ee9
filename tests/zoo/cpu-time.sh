# caught by the second run: out: bytes
cat /proc/self/schedstat >out
