-- want: done
-- A chunk loaded without an environment must get the script's, never Lua's real globals.
function install()
  local env = load("return _ENV")()
  if env ~= _G then breach("load gave another environment") end
  local pieces = {"return ", "_ENV", nil}
  local at = 0
  local chunk = load(function() at = at + 1 return pieces[at] end)
  if chunk() ~= _G then breach("load of a function gave another environment") end
  local nested = load("return load('return _ENV')")()()
  if nested ~= _G then breach("nested load gave another environment") end
  if load("return 1", "x", "t", nil)() ~= 1 then breach("nil environment") end
end
