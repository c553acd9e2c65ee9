-- want: stopped
-- A metatable that becomes weak when it is set already, and is no longer when anybody looks, shows when Lua collected.
function install()
  local meta = {}
  local cache = setmetatable({}, meta)
  cache[1] = {}
  meta.__mode = "v"
  local text = ("x"):rep(8 << 20)
  for i = 1, 20 do text = text .. i end
  meta.__mode = nil
  log(cache[1] == nil)
  breach("it saw whether Lua had collected")
end
