# caught by the second run: out: target
ln -s $(date +%s) out
