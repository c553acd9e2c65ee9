-- want: stopped
-- Caught errors with hints may not pile up in the host's memory.
function install()
  write("/x", "")
  while true do
    for i = 512, 777 do pcall(chmod, "/x", i) end
    pcall(copy, "*" .. ("y"):rep(60000), "/z")
  end
end
