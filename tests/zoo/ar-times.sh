# caught by the second run: out: bytes
echo x >file; ar rcU out file 2>/dev/null
