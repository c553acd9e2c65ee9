-- want: stopped
-- The script's body counts as well as its functions.
local n = 0
repeat n = n + 1 until false
