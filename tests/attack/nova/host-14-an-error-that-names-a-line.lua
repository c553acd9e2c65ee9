-- want: failed
-- An error that reads like Lua's own about octal numbers, of a line that no script has: what looks the line up makes no list of that length.
function install()
  error(":99999999999999: malformed number near '0o7'", 0)
end
