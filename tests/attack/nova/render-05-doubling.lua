-- want: stopped
-- Text that doubles is ended by memory.
function install()
  pcall(render, "j/doubled", "/x")
  breach("went on")
end
