-- want: stopped
-- Deep recursion in Lua, in C and in the parser ends the script, not the builder.
function install()
  local function c(n) return pcall(c, n + 1) end
  c(0)
  pcall(load, ("("):rep(100000))
  pcall(load, ("{"):rep(100000))
  pcall(load, "return " .. ("-"):rep(100000) .. "1")
  pcall(load, ("local a; do "):rep(10000))
  pcall(string.gsub, ("x"):rep(1000), ("(x?"):rep(40), "")
  local t = setmetatable({}, {})
  getmetatable(t).__index = function(s, k) return s[k .. "x"] end
  pcall(function() return t.a end)
  local function f() return 1 + f() end
  f()
end
