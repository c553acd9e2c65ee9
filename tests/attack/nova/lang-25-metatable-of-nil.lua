-- want: done
-- Types have no metatables that a script can set.
function install()
  for _, value in ipairs{1, true, print, "text"} do
    if pcall(setmetatable, value, {}) then breach("a metatable for a " .. type(value)) end
  end
  if debug or getmetatable(1) or getmetatable(print) or getmetatable(true) then breach("a metatable of a type") end
end
