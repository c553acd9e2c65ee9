# caught by the second run: out: bytes
nice >out
