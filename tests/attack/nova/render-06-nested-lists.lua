-- want: stopped
-- A list that holds itself twice, forty times over, is ended when it is written out.
function install()
  pcall(render, "j/nested", "/x")
  breach("went on")
end
