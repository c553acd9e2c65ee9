-- want: done
-- A copied hard link brings its file, never something else.
function install()
  copy("hard", "/usr/hard")
  mknod("/usr/hard/file", "c", 1, 3)
  if pcall(chmod, "/usr/hard/link", "4755") and glob("/etc/shadow")[1] then breach("reached out") end
end
