-- want: done
-- A folder is not replaced by a link under a file.
function install()
  write("/usr/d/file", "x")
  if pcall(symlink, "/etc", "/usr/d") then breach("replaced a folder that holds a file") end
  write("/usr/d/other", "y")
  if exists("/etc/other") then breach("it moved") end
end
