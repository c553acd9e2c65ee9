-- want: failed
-- The root itself cannot be replaced.
function install()
  for _, path in ipairs{"/", "", ".", "//", "/./"} do
    if pcall(symlink, "/tmp", path) or pcall(mknod, path, "p") or pcall(write, path, "x") then breach("replaced the root") end
  end
  copy("data", "/")
  error("the root took a file's name")
end
