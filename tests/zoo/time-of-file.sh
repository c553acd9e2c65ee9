# caught by the second run: out: time
: >out; touch -d @$(($(date +%s) - 1500000000)) out
