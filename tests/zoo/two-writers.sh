# caught by the second run: out: bytes
for n in 1 2 3 4 5 6 7 8; do (sleep 0.00$(date +%N | cut -c 5); echo $n $(date +%N) >>out) & done; wait
