-- want: done
-- A file written through a link lands inside the root.
function install()
  if pcall(symlink, "/../../../etc", "/usr/up") then breach("a link climbs above the root") end
  symlink("/etc", "/usr/up") symlink("/etc/passwd", "/usr/passwd")
  pcall(write, "/usr/up/made-by-attack", "x") pcall(chmod, "/usr/passwd", "0777") pcall(copy, "data", "/usr/passwd")
  if exists("/usr/up/passwd") then breach("saw the host") end
end
