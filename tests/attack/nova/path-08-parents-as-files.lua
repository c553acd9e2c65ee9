-- want: done
-- Nothing comes to lie below a file, and no folder turns into a file.
function install()
  write("/f", "")
  for _, path in ipairs{"/f/x", "/f/x/y"} do
    if pcall(write, path, "") or pcall(mkdir, path) or pcall(symlink, "t", path) or pcall(copy, "data", path) then
      breach("below a file: " .. path)
    end
  end
  mkdir("/d/e")
  if pcall(write, "/d", "") or pcall(symlink, "x", "/d") or pcall(copy, "data", "/d") or pcall(mknod, "/d", "p") then
    breach("a folder was replaced")
  end
  symlink("f", "/lf")
  if pcall(write, "/lf/x", "") then breach("below a link to a file") end
  for _, root in ipairs{"/", "//", "./", "/./"} do
    if pcall(write, root, "") or pcall(symlink, "x", root) or pcall(chmod, root, "0777") then breach("the root was changed") end
  end
end
