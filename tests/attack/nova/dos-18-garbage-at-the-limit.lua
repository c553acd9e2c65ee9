-- want: stopped
-- Living close to the memory limit makes Lua collect garbage at every step.
function install()
  local keep = {}
  for i = 1, 1e9 do
    keep[i] = {i}
    if i > 150000 then keep[i - 150000] = nil end
  end
end
