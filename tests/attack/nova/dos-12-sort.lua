-- want: stopped
-- A comparison that never agrees with itself.
function install()
  local t = {}
  for i = 1, 100000 do t[i] = i end
  while true do table.sort(t, function(a, b) return (a * 7919) % 13 < (b * 104729) % 17 end) end
end
