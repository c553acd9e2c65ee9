-- want: failed
-- Brackets in brackets do not bring the parser down.
function install()
  if pcall(render, "j/deep", "/x") then breach("no end") end
  render("j/deep", "/x")
end
