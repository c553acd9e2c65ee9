-- want: stopped
local pattern = ("**/"):rep(31) .. "?*?*?*x"
function install()
  for n = 1, 300 do write(("/usr/" .. ("d/"):rep(n % 50)) .. n, "") end
  while true do glob(pattern) glob("/**/" .. ("*?"):rep(100) .. "/**/x") end
end
