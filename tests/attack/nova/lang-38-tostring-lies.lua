-- want: done
-- __name and __tostring cannot make a table into another type for a verb.
function install()
  local liar = setmetatable({}, {__name = "string", __tostring = function() return "/etc/x" end})
  if pcall(write, liar, "x") or pcall(write, "/etc/x", liar) then breach("a verb believed a table") end
  if exists("/etc/x") then breach("it was made") end
end
