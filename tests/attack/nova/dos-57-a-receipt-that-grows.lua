-- want: stopped
function install()
  local target = ("t"):rep(4000)
  for n = 1, 10000000 do symlink(target, "/usr/l" .. n) end
end
