-- want: stopped
-- Templates without end hit the limit.
function install()
  local vars = {text = ("x"):rep(1 << 18)}
  while true do render("t", "/usr/t", vars) end
end
