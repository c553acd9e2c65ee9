# caught by the second run: out: bytes
head -c 16 /dev/urandom >out
