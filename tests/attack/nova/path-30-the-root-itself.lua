-- want: done
-- The root is nobody's: no verb changes it, copies over it or makes it anything else, however it is named.
function install()
  symlink("/", "/usr/top") symlink("..", "/usr/up")
  for _, root in ipairs{"/", "//", "/.", "./", "usr/top", "/usr/top/.", "/usr/up", "/usr/up/usr/up/"} do
    for name, try in pairs{chmod = {chmod, root, "0777"}, chown = {chown, "/", 1, 1}, setcap = {setcap, root, "cap_kill+ep"},
                           write = {write, "/", ""}, mknod = {mknod, "/", "p"}, symlink = {symlink, "x", "/"},
                           copy = {copy, "data", "/"}} do
      if pcall(table.unpack(try)) and name ~= "copy" then breach(name .. " " .. root) end
    end
    mkdir(root, "0777")
    if not exists(root) then breach("no root at " .. root) end
  end
end
