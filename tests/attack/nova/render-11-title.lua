-- want: failed
-- Long text goes through |title again and again, until the steps of the template are used up.
function install()
  local ok, problem = pcall(render, "j/titled", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/titled", "/x")
end
