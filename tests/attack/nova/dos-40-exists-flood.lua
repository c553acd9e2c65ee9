-- want: stopped
-- Questions without end hit the limit.
function install()
  while true do exists("/usr/lib/libdep.so") end
end
