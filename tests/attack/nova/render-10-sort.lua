-- want: failed
-- A long list is sorted again and again, until the steps of the template are used up.
function install()
  local ok, problem = pcall(render, "j/sorted", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/sorted", "/x")
end
