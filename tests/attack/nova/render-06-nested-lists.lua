-- want: failed
-- A list that holds itself twice, forty times over, is ended while it is made.
function install()
  local ok, problem = pcall(render, "j/nested", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/nested", "/x")
end
