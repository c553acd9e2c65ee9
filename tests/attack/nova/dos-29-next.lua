-- want: stopped
function install()
  local t = {}
  for i = 1, 100000 do t["k" .. i] = i end
  while true do local k = next(t) for key in pairs(t) do k = key break end end
end
