-- want: done
-- Nothing lies below what is no folder.
function install()
  mknod("/usr/pipe", "p") mknod("/usr/null", "c", 1, 3) write("/usr/file", "x") symlink("/usr/file", "/usr/link")
  for _, parent in ipairs{"pipe", "null", "file", "link"} do
    if pcall(write, "/usr/" .. parent .. "/x", "x") or pcall(mkdir, "/usr/" .. parent .. "/d") then breach("below a " .. parent) end
  end
end
