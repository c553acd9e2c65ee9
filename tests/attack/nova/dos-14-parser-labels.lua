-- want: stopped
function install()
  local parts = {}
  for i = 1, 12000 do parts[i] = "goto e" .. i .. " ::l" .. i .. "::" end
  while true do load(table.concat(parts, " ")) end
end
