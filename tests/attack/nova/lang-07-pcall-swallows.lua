-- want: stopped
-- Errors of the budget may not be caught, however deep.
function install()
  local function try() return pcall(try) end
  while true do
    pcall(pcall, pcall, function() while true do end end)
    xpcall(function() while true do end end, function(e) return e end)
    if select(2, pcall(error)) then breach("an error changed") end
  end
end
