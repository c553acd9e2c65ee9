-- want: failed
-- A list that is in itself a billion times over is not written out as JSON.
function install()
  local ok, problem = pcall(render, "j/written", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/written", "/x")
end
