-- want: stopped
-- Nor there; and what is closed on the way out raises another error instead.
function install()
  local mt = {__close = function() for i = 1, 60 do end error("other", 0) end}
  local function again()
    while true do
      pcall(function()
        local a <close> = setmetatable({}, mt) local b <close> = setmetatable({}, mt) local c <close> = setmetatable({}, mt)
        again()
      end)
    end
  end
  again()
end
