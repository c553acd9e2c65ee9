-- want: done
-- The largest message that Lua can make is taken or refused, and the next one is heard.
function install()
  for _, size in ipairs{1, 255, 65535, 65536, 1 << 20, 3 << 20} do pcall(write, "/etc/big", ("x"):rep(size)) end
  write("/etc/after", "x")
  if not exists("/etc/after") then breach("the conversation is broken") end
end
