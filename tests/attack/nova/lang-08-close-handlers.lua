-- want: stopped
-- To-be-closed variables run script code while an error unwinds.
function install()
  local meta = {__close = function() local s = ("x"):rep(2^20) while true do s = s .. "y" end end}
  local function deep(n)
    local a <close>, b = setmetatable({}, meta), 0
    local c <close> = setmetatable({}, meta)
    local d <close> = setmetatable({}, meta)
    if n > 0 then deep(n - 1) end
    while true do end
  end
  pcall(deep, 5000)
  breach("ran on after the budget")
end
