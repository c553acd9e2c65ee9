-- want: stopped
-- Copying folders again and again hits the limit.
function install()
  local i = 0
  while true do i = i + 1 copy("many", "/usr/m" .. i % 7) end
end
