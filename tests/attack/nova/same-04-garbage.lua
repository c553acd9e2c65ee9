-- want: done
-- So much garbage that Lua must collect: what is left is the same.
function install()
  local keep, count = {}, 0
  for i = 1, 300000 do
    local meta = {__index = function() return i end}
    local made = setmetatable({i}, meta)
    if i % 10000 == 0 then keep[#keep + 1] = made end
    count = count + made.x - made[1] + 1
  end
  local texts = {}
  for place, each in ipairs(keep) do texts[place] = each[1] .. ":" .. each.x end
  write("/left", table.concat(texts, "\n") .. count)
  local text = ("x"):rep(4 << 20)
  for i = 1, 40 do text = text:sub(2) .. i % 10 end
  write("/text", text:sub(-100))
end
