-- want: failed
-- |indent does not make 10 GB of 100 KB.
function install()
  local ok, problem = pcall(render, "j/indented", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/indented", "/x")
end
