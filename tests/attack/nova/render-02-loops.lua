-- want: stopped
-- Loops in loops are ended by time, and that cannot be caught.
function install()
  pcall(render, "j/loops", "/x")
  breach("went on")
end
