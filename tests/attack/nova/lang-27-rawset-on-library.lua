-- want: done
-- What a script does to its tables does not reach the verbs.
function install()
  rawset(string, "rep", function() return "x" end)
  rawset(table, "concat", nil) rawset(_G, "ipairs", nil) rawset(_G, "type", function() return "table" end)
  for name in pairs(math) do math[name] = nil end
  write("/etc/x", "x") mkdir("/etc/y") log("still here")
  if exists("/etc/z") then breach("a verb was bent") end
end
