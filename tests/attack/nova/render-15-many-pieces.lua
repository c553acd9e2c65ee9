-- want: failed
-- A template of many pieces is refused before it is parsed.
function install()
  local ok, problem = pcall(render, "j/many", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/many", "/x")
end
