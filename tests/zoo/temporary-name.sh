# caught by the second run: out: bytes
mktemp >out
