-- want: done
-- Symlinks that point out of the root stay inside it.
function install()
  symlink("/canary-of-the-host", "/a")
  if pcall(symlink, "../../../../../../../../../../etc", "/b") then breach("a link climbs above the root") end
  symlink("etc/../etc", "/b")
  symlink("/proc/self/root", "/c")
  symlink("/", "/d")
  if exists("/a") or exists("/b") or exists("/c") then breach("a link leads out") end
  write("/b/inside", "x")
  if not exists("/etc/inside") then breach("a link was not followed inside") end
  write("/d/etc/inside2", "x")
  if not exists("/etc/inside2") then breach("the link to the root was not followed inside") end
  pcall(write, "/a", "x")
  pcall(chmod, "/a", "0777")
end
