-- want: stopped
-- pcall in pcall in pcall does not hide the end.
function install()
  local function again() while true do pcall(again) end end
  again()
end
