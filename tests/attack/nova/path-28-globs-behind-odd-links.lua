-- want: done
-- A pattern that a link leads on must still be one that a receipt can hold and read again.
function install()
  local long = "/" .. ("x"):rep(250)
  for name, target in pairs{stars = "/a**b", star = "/we*ird", mark = "/we?ird", all = "/**", long = long .. long .. long .. long} do
    symlink(target, "/" .. name)
    local ok, found = pcall(glob, "/" .. name .. "/" .. ("?"):rep(200))
    if ok then breach(name .. " was searched") end
  end
  mkdir("/we*ird") write("/weXird/not-there", "")
  if pcall(glob, "/star/*") then breach("a name was taken for a pattern") end
end
