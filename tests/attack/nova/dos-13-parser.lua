-- want: stopped
-- The parser is C, too.
function install()
  local source = "return " .. ("a and "):rep(40000) .. "a"
  while true do load(source) end
end
