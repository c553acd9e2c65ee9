-- want: done
-- Finalizers run when Lua collects, with hooks off.
function install()
  if pcall(setmetatable, {}, {__gc = function() while true do end end}) then breach("__gc was taken") end
  if pcall(setmetatable, {}, {__mode = "k"}) then breach("__mode was taken") end
  local meta = {}
  setmetatable({}, meta)
  meta.__gc = function() while true do end end
  for i = 1, 100000 do local t = {} end
end
