-- want: done
-- What a verb answers is text, a number, a boolean or nothing.
function install()
  write("/etc/x", "x")
  local found = glob("/etc/*")
  if type(found) ~= "table" or getmetatable(found) then breach("glob answers a " .. type(found)) end
  for _, value in ipairs{exists("/etc/x"), env("NAME"), log("x"), mkdir("/etc/d")} do
    local kind = type(value)
    if kind ~= "boolean" and kind ~= "nil" and kind ~= "string" then breach("a verb answers a " .. kind) end
  end
end
