-- want: failed
-- Text that doubles is ended before it is long.
function install()
  local ok, problem = pcall(render, "j/doubled", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/doubled", "/x")
end
