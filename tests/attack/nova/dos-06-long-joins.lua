-- want: stopped
-- Few instructions, each of which moves millions of bytes.
function install()
  local s = ("x"):rep(7 * 2^20)
  while true do local t = s .. "y" end
end
