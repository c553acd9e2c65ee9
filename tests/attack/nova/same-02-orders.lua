-- want: done
-- Everything that goes through a table, in an order that hashes, addresses and what lay there before must not show in.
function install()
  local t = {}
  for i = 1, 300 do t["key" .. i * 7919 % 1000] = i t[i * 31 % 97] = i t[i / 4] = i end
  for i = 1, 300, 3 do t["key" .. i * 7919 % 1000] = nil end
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = tostring(key) end
  write("/pairs", table.concat(keys, "\n"))
  keys = {}
  local key = next(t)
  while key ~= nil do keys[#keys + 1] = tostring(key) key = next(t, key) end
  write("/next", table.concat(keys, "\n"))
  local words = {}
  for place, word in ipairs(keys) do words[place] = {word, #word} end
  table.sort(words, function(l, r) return l[2] < r[2] end)
  for place, word in ipairs(words) do words[place] = word[1] end
  write("/sorted", table.concat(words, "\n"))
  render("j/shows", "/rendered", {vars = {b = 1, a = {z = "1", y = {3, 2, 1}}, c = {}}})
  local seen = {}
  for _, each in ipairs{_G, string, table, math, utf8} do for name in pairs(each) do seen[#seen + 1] = name end end
  log(table.concat(seen, " "))
end
