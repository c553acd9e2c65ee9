-- want: failed
-- A program is refused while the script loads, too.
if pcall(run, {"id"}) then breach("a program ran") end
run{"id"}
