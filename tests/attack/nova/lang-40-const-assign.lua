-- want: failed
-- A constant stays one.
local x <const> = 1
x = 2
