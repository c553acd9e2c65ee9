-- want: done
-- Links whose targets name links many times over would take exponential time.
function install()
  symlink(("/e"):rep(1), "/e1")
  for i = 2, 39 do symlink(("e" .. i - 1 .. "/"):rep(300), "/e" .. i) end
  for i = 1, 1000 do exists("/e39/x") end
end
