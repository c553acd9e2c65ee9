-- want: stopped
-- A log of megabytes hits the limit.
function install()
  local line = ("x"):rep(1 << 19)
  while true do log(line) end
end
