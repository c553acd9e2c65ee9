-- want: done
-- Functions on tables that believe what metamethods say about their length.
function install()
  local sly = setmetatable({}, {__len = function() return math.maxinteger end, __index = rawget, __newindex = rawset})
  pcall(table.sort, sly)
  pcall(table.unpack, sly)
  pcall(table.unpack, {}, 1, 1e8)
  pcall(table.concat, setmetatable({}, {__index = type, __len = function() return 1e15 // 1 | 0 end}), "", 1, 100000)
  pcall(table.insert, sly, 1, "x")
end
