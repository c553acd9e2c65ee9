-- want: stopped
local clauses = ("=eip"):rep(1000)
function install()
  write("/usr/x", "")
  while true do pcall(setcap, "/usr/x", clauses) end
end
