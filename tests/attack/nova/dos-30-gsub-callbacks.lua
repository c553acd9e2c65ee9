-- want: stopped
function install()
  local function again(text) return (text:gsub(".", again)) end
  pcall(again, "x")
  local text = ("x"):rep(100000)
  while true do text = text:gsub("x", "%0%0"):sub(1, 100000) end
end
