-- want: done
-- The metatable of strings is shared with the sandbox's own code.
function install()
  local meta = getmetatable("")
  if type(meta) == "table" then breach("the metatable of strings is open") end
  if pcall(setmetatable, "", {}) then breach("the metatable of strings can be set") end
  string.rep = function() return "changed" end
  string.format = nil
  string.sub = function() error("changed") end
  table.concat = nil
  write("/x", "y")
  log(1, "a")
  for _, path in ipairs(glob("/*")) do if path ~= "/x" and path ~= "/usr" then breach(path) end end
  local ok, problem = pcall(copy, "no", "/y")
  if ok or not problem:find("archive", 1, true) then breach("errors changed") end
end
