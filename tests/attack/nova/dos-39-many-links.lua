-- want: stopped
-- Links without end hit the limit.
function install()
  local i = 0
  while true do i = i + 1 pcall(symlink, "/usr/l" .. i + 1, "/usr/l" .. i) end
end
