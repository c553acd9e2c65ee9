# caught by the second run: out: bytes
uname -r >out
