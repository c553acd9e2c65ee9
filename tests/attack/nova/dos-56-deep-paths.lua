-- want: stopped
function install()
  local deep = ("a/"):rep(60)
  for n = 1, 10000000 do exists(deep .. n) pcall(symlink, "../" .. deep, deep .. n) pcall(copy, "many/", deep) end
end
