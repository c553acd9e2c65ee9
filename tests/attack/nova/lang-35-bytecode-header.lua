-- want: done
-- A chunk that begins as bytecode is not loaded, whatever the mode says.
function install()
  for _, mode in ipairs{"b", "bt", "tb", "t", ""} do
    for _, head in ipairs{"\27Lua", "\27LuaT\0\25\147\r\n\26\n", "\27"} do
      if load(head .. ("\0"):rep(100), "x", mode) then breach("loaded bytecode with " .. mode) end
    end
  end
  if load(function() return "\27Lua" end, "x", "b") then breach("bytecode from a reader") end
end
