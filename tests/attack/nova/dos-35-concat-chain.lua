-- want: stopped
-- A text that grows by itself hits the limit.
function install()
  local s = "x"
  while true do s = s .. s end
end
