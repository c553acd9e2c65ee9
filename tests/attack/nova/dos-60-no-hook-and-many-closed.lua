-- want: stopped
-- Thousands of things are closed on the way to one pcall, where no hook can be called.
function install()
  local mt = {__close = function() for i = 1, 200 do end error("other", 0) end}
  local function deep(n) local a <close> = setmetatable({}, mt) if n > 0 then deep(n - 1) end error("x") end
  local function again(n)
    if n > 0 then pcall(again, n - 1) end
    while true do pcall(deep, 30000) end
  end
  again(250)
end
