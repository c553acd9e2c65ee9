-- want: done
-- install_root is a text that the script may change, for itself.
function install()
  install_root = "/../../../tmp"
  if pcall(write, install_root .. "/x", "x") then breach("wrote outside") end
  install_root = ""
  write(install_root .. "/etc/x", "x")
end
