-- want: stopped
-- format that doubles hits the limit.
function install()
  local s = "x"
  while true do s = ("%s%s"):format(s, s) end
end
