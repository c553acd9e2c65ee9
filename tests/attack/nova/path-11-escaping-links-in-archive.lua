-- want: done
-- Symlinks in the archive are data: they are not followed out of it.
function install()
  for _, path in ipairs{"evil", "evil-up", "evil-dir/passwd", "evil-dir"} do
    if pcall(copy, path, "/stolen") then breach("copied through " .. path) end
  end
  copy("links", "/links")
  if exists("/links/evil") then breach("the link leads somewhere") end
end
