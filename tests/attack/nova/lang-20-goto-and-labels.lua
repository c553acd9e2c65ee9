-- want: done
-- Jumps stay inside their function and count as instructions.
function install()
  local n = 0
  ::again:: n = n + 1
  if n < 1000 then goto again end
  if load("goto nowhere") then breach("jumped to nowhere") end
end
