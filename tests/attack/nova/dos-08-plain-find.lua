-- want: stopped
-- Plain search compares text and pattern at every place.
function install()
  local text, pattern = ("a"):rep(8 * 2^20), ("a"):rep(4 * 2^20) .. "b"
  while true do text:find(pattern, 1, true) end
end
