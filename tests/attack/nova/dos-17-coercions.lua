-- want: stopped
-- Arithmetic on long texts, comparisons of long texts, long texts as keys.
function install()
  local a, b = ("x"):rep(4 * 2^20), ("x"):rep(4 * 2^20) .. "y"
  local spaces = (" "):rep(4 * 2^20) .. "1"
  local t = {}
  while true do
    local x = spaces + 1
    if a < b then t[a .. "z"] = nil end
  end
end
