-- want: done
-- __pairs, __index and __len of a table given to a verb run as plain Lua, or not at all.
function install()
  local bad = setmetatable({}, {__index = function() return "/etc/passwd" end, __len = function() return 10 ^ 9 end,
    __pairs = function() error("called") end, __tostring = function() return "/etc/x" end, __concat = function() return "y" end})
  for _, verb in ipairs{copy, write, mkdir, exists, glob, symlink, chmod} do
    if pcall(verb, bad, bad) then breach("a verb took a table") end
  end
  pcall(filemap, bad) pcall(run, bad)
end
