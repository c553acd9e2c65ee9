-- want: stopped
-- Patterns of stars stay within their bound.
function install()
  copy("many", "/usr/many")
  local pattern = "/" .. ("*a"):rep(100) .. "/**/" .. ("*"):rep(50)
  while true do pcall(glob, pattern) pcall(glob, "/**/**/**/*") end
end
