# caught by the second run: out: bytes
stat -c '%n %i' given/* >out
