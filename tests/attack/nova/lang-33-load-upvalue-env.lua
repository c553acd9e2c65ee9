-- want: done
-- load with its own environment sees only that.
function install()
  local chunk = load("return io, os, write, copy, _G", "x", "t", {})
  for _, value in ipairs{chunk()} do if value ~= nil then breach("saw something") end end
  local nested = load("return load('return os')()", "x", "t", _G)
  if nested() then breach("os through two loads") end
end
