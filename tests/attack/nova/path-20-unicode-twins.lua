-- want: done
-- Names that look alike are different bytes, each within the rules.
function install()
  pcall(write, "/usr/\u{e9}", "1") pcall(write, "/usr/e\u{301}", "2")
  pcall(write, "/usr/\u{202e}txt.exe", "3") pcall(write, "/usr/\255\254", "4") pcall(write, "/usr/a\nb", "5")
  for _, path in ipairs(glob("/usr/*")) do if path:find("\0", 1, true) then breach("a NUL in a path") end end
end
