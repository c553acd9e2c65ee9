-- want: stopped
-- Tables of long keys hit the limit of memory.
function install()
  local t = {}
  for i = 1, math.huge do t[("k"):rep(1000) .. i] = i end
end
