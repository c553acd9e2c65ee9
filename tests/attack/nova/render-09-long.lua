-- want: failed
-- A template makes no more than its limit, and a script may catch that.
function install()
  if pcall(render, "j/long", "/x") then breach("more than the limit") end
  render("j/long", "/x")
end
