-- want: stopped
-- Very many arguments and results end the script.
function install()
  local many = {}
  for i = 1, 60000 do many[i] = "x" end
  pcall(copy, table.unpack(many))
  pcall(log, table.unpack(many))
  pcall(run, many)
  pcall(string.char, table.unpack(many))
  pcall(string.byte, ("x"):rep(10^6), 1, -1)
  local function f(...) return f(1, ...) end
  f()
end
