-- want: done
-- A template is a file of the archive.
function install()
  for _, name in ipairs{"j", "evil", "evil-up", "/etc/passwd", "../t", "", "links/evil", "t\0", "many"} do
    if pcall(render, name, "/x") then breach(name) end
  end
  if exists("/x") then breach("made") end
end
