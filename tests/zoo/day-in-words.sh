# caught by the second run: out: day
echo ".TH TOOL 1 \"$(date '+%d %B %Y')\"" >out
