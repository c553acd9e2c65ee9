-- want: stopped
-- A message handler runs inside the hook, where no hook fires: it must not be script code.
function install()
  xpcall(function() while true do end end, function() while true do end end)
  breach("ran on after the budget")
end
