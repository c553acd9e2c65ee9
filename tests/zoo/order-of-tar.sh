# caught by the second run: out: bytes
tar --mtime=@0 -c -f out given
