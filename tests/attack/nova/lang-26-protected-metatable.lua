-- want: done
-- A protected metatable stays protected.
function install()
  local locked = setmetatable({}, {__metatable = "no"})
  if pcall(setmetatable, locked, {}) then breach("replaced a protected metatable") end
  if getmetatable(locked) ~= "no" then breach("saw a protected metatable") end
end
