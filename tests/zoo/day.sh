# caught by the second run: out: day
date +%F >out
