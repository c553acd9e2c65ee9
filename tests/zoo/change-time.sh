# caught by the second run: out: bytes
stat -c %Z given/a >out
