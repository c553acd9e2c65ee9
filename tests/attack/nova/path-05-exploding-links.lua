-- want: stopped
-- Links whose targets name links many times over take very many steps to follow.
function install()
  symlink("/e", "/e1")
  for i = 2, 39 do symlink(("e" .. i - 1 .. "/"):rep(300), "/e" .. i) end
  while true do exists("/e39/x") end
end
