-- want: failed
-- There are no format strings: nobody makes a number with a billion zeros.
function install()
  local ok, problem = pcall(render, "j/padded", "/x")
  if ok or exists("/x") then breach("it was rendered") end
  log(problem)
  render("j/padded", "/x")
end
