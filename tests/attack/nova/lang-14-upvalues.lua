-- want: done
-- No function that a script gets holds something that it can be made to give out.
function install()
  for name, value in pairs(_G) do
    if type(value) == "userdata" or type(value) == "thread" then breach(name) end
    if type(value) == "function" and getmetatable(value) ~= nil then breach(name .. " has a metatable") end
  end
  for _, lib in ipairs{"string", "table", "math", "utf8"} do
    for name, value in pairs(_G[lib]) do
      if type(value) == "userdata" then breach(lib .. "." .. name) end
    end
  end
end
