-- want: stopped
-- Long text in |urlize, again and again.
function install()
  pcall(render, "j/links", "/x")
  breach("went on")
end
