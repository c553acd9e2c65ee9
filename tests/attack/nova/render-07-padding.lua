-- want: stopped
-- A number with a billion zeros is ended by memory.
function install()
  pcall(render, "j/padded", "/x")
  breach("went on")
end
