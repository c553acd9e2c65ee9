-- want: done
-- What another star owns is not changed.
function install()
  for _, verb in ipairs{function(p) chmod(p, "0777") end, function(p) chown(p, 1, 1) end, function(p) setcap(p, "cap_sys_admin+ep") end} do
    if pcall(verb, "/usr/lib/libdep.so") then breach("changed another star's file") end
  end
  symlink("/usr/lib/libdep.so", "/usr/alias")
  if pcall(chmod, "/usr/alias", "4777") then breach("changed it through a link") end
end
