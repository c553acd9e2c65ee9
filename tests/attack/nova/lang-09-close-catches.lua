-- want: stopped
-- A handler that replaces the error of the budget by one of its own must gain nothing.
function install()
  local meta = {__close = function() error("mine") end}
  local ok, problem = pcall(function()
    local x <close> = setmetatable({}, meta)
    while true do end
  end)
  breach("caught: " .. tostring(problem))
end
