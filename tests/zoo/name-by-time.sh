# caught by the second run: log-*: once
: >log-$(date +%s)
