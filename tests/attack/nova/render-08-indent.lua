-- want: stopped
-- |indent makes 10 GB of 100 KB.
function install()
  pcall(render, "j/indented", "/x")
  breach("went on")
end
