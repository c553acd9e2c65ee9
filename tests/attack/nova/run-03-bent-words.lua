-- want: done
-- A command table with metamethods is read raw.
function install()
  local words = setmetatable({}, {__index = function(_, i) if i < 3 then return "sh" end end, __len = function() return 2 end})
  if pcall(run, words) then breach("a program ran") end
  if pcall(run, setmetatable({"sh"}, {__index = print})) then breach("a program ran") end
end
