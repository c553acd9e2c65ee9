-- want: stopped
function install()
  local from, to = setmetatable({}, {__index = rawget}), setmetatable({}, {__newindex = function() end})
  table.move(from, 1, math.maxinteger - 1, 1, to)
end
