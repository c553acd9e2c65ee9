-- want: done
-- `..` in a path is refused by every verb.
function install()
  local paths = {"..", "../x", "/..", "/../etc/passwd", "a/../../b", "./../x", "files/../../x", "x/..", "//..//x", "/usr/../.."}
  for _, path in ipairs(paths) do
    for _, verb in ipairs{"mkdir", "exists", "glob"} do
      if pcall(_G[verb], path) then breach(verb .. " took " .. path) end
    end
    if pcall(write, path, "x") then breach("write took " .. path) end
    if pcall(symlink, "x", path) then breach("symlink took " .. path) end
    if pcall(copy, "data", path) then breach("copy to took " .. path) end
    if pcall(copy, path, "/x") then breach("copy from took " .. path) end
    if pcall(mknod, path, "p") then breach("mknod took " .. path) end
    if pcall(chmod, path, "0777") then breach("chmod took " .. path) end
  end
end
