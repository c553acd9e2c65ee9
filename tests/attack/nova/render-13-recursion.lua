-- want: failed
-- A macro that calls itself for ever is an error.
function install()
  if pcall(render, "j/recursion", "/x") then breach("no end") end
  render("j/recursion", "/x")
end
