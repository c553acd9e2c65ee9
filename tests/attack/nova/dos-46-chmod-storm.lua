-- want: stopped
-- Changing many hard links again and again hits the limit.
function install()
  copy("many", "/usr/many") copy("hard", "/usr/hard")
  while true do chmod("/usr/hard/link", "0700") chmod("/usr/hard/file", "0755") end
end
