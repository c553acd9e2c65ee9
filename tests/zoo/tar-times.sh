# caught by the second run: out: bytes
echo x >file; tar -c -f out file
