-- want: done
-- Links in circles, and chains of links, end in an error.
function install()
  symlink("b", "/a")
  symlink("a", "/b")
  symlink("self", "/self")
  symlink("self/self/self", "/self2")
  for _, path in ipairs{"/a", "/a/x", "/self/x", "/self2/x"} do
    if exists(path) then breach("a circle exists") end
    if path ~= "/a" and pcall(write, path, "x") then breach("wrote through a circle") end
  end
  for i = 1, 100 do symlink("l" .. i + 1, "/l" .. i) end
  if pcall(mkdir, "/l1/x") then breach("followed a hundred links") end
end
