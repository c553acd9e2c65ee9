-- want: done
-- Variables for a template cross as JSON that the script cannot forge.
function install()
  pcall(render, "t", "/x", {a = '","b":"c', ['k"'] = "\\", c = "\0\1\31\127"})
  pcall(render, "t", "/x", {a = ("[" ):rep(100000)})
  pcall(render, "t", "/x", setmetatable({}, {__pairs = function() return function() return "a", {} end end}))
  local deep = {}
  for i = 1, 1000 do deep = {x = deep} end
  if pcall(render, "t", "/x", deep) then breach("deep variables") end
  local loop = {}
  loop.loop = loop
  if pcall(render, "t", "/x", loop) then breach("a loop") end
end
