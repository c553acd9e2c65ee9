-- want: done
-- A script cannot change what it was signed with.
function install()
  for _, path in ipairs{"/star.toml", "/install.lua", "/files/data"} do
    if exists(path) then breach("the archive shows in the root: " .. path) end
  end
  if pcall(copy, "../star.toml", "/usr/x") or pcall(copy, "files/../../star.toml", "/usr/x") then breach("left the archive") end
end
