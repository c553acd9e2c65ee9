# caught by the second run: out: bytes
ls -U given >out
