-- want: stopped
-- Hostile patterns for Lua's own matcher, in which no hook fires.
function install()
  local text = ("a"):rep(30)
  for _, pattern in ipairs{("a-"):rep(20) .. "b", ("a*"):rep(20) .. "b", ("(a?)"):rep(20) .. "b", (".-"):rep(20) .. "\0"} do
    pcall(string.find, text, pattern)
    pcall(string.gsub, text, pattern, "%0")
    for _ in string.gmatch(text, pattern) do end
  end
end
