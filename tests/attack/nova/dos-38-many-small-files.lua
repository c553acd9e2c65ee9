-- want: stopped
-- Files without end hit the limit.
function install()
  local i = 0
  while true do i = i + 1 pcall(write, "/usr/f" .. i, "") end
end
