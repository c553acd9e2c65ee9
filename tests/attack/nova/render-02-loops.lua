-- want: failed
-- Loops in loops are ended by the number of their steps, the same on every machine.
function install()
  local ok, problem = pcall(render, "j/loops", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/loops", "/x")
end
