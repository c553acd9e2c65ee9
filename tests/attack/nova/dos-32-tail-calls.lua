-- want: stopped
-- Endless tail calls count.
function install()
  local function f(n) return f(n + 1) end
  f(1)
end
