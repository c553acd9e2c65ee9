-- want: done
-- What belongs to a dependency is not changed.
function install()
  local theirs = "/usr/lib/libdep.so"
  if not exists(theirs) then breach("the dependency is not seen") end
  if pcall(chmod, theirs, "6777") then breach("chmod") end
  if pcall(chown, theirs, 0, 0) then breach("chown") end
  if pcall(setcap, theirs, "cap_sys_admin+ep") then breach("setcap") end
  symlink("/usr/lib", "/way")
  if pcall(chmod, "/way/libdep.so", "6777") then breach("chmod through a link") end
  if pcall(chmod, "/usr/lib", "0777") then breach("chmod of a folder") end
  if pcall(write, "/usr/lib/libdep.so/x", "") then breach("below a file") end
  if pcall(copy, "/usr/lib/libdep.so", "/mine") then breach("copied from the root") end
end
