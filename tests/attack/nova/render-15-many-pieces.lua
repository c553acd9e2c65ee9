-- want: stopped
-- A template of many pieces is ended by time, while it is compiled.
function install()
  pcall(render, "j/many", "/x")
  breach("went on")
end
