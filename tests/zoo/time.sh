# caught by the second run: out: bytes
date >out
