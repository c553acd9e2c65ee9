-- want: stopped
-- To-be-closed variables run script code while an error unwinds: thousands of handlers, each of them slow.
function install()
  local s = ("x"):rep(2 * 2^20)
  local value = setmetatable({}, {__close = function() while true do local t = s .. "y" end end})
  local function deep(n)
    local a <close> = value
    local b <close> = value
    local c <close> = value
    if n > 0 then deep(n - 1) end
    while true do end
  end
  pcall(deep, 5000)
  breach("ran on after the budget")
end
