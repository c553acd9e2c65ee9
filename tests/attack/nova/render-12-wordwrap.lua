-- want: stopped
-- Long text in |wordwrap, again and again.
function install()
  pcall(render, "j/wrapped", "/x")
  breach("went on")
end
