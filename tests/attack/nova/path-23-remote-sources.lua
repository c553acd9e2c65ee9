-- want: done
-- A source is a path of the archive, never an address.
function install()
  for _, source in ipairs{"http://127.0.0.1/", "file:///etc/passwd", "deb:bash", "\\\\host\\share", "~root", "$HOME", "`id`", "|id", "data\0", "-"} do
    if pcall(copy, source, "/usr/x") then breach("copied " .. source) end
  end
end
