# caught by the second run: out: bytes
ln given/a link; find . -samefile link -printf '%i %n\n' >out
