-- want: stopped
-- A replacement that doubles hits the limit.
function install()
  local s = "xx"
  while true do s = s:gsub("x", "xx") end
end
