-- want: stopped
-- Long text in |striptags, again and again.
function install()
  pcall(render, "j/tags", "/x")
  breach("went on")
end
