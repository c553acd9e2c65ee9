-- want: stopped
-- Where the stack of C is full, by metamethods here, no hook can be called to count instructions.
function install()
  local mt = {}
  local t = setmetatable({}, mt)
  local depth = 0
  mt.__index = function(_, k)
    depth = depth + 1
    if depth < 190 then return t[k] end
    while true do pcall(function() while true do end end) end
  end
  local x = t.a
end
