-- want: stopped
-- Functions that call each other for ever run out of stack, not of the machine.
function install()
  local f, g
  function f() return 1 + g() end
  function g() return 1 + f() end
  f()
end
