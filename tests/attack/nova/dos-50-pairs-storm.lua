-- want: stopped
-- Sorting the keys of a large table again and again hits the limit.
function install()
  local t = {}
  for i = 1, 20000 do t["k" .. i] = i end
  while true do for _ in pairs(t) do break end end
end
