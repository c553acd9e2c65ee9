-- want: done
-- No global of the binding is left under any name.
function install()
  local seen = {}
  local function walk(t, path)
    if seen[t] then return end
    seen[t] = true
    local key, value = next(t)
    while key ~= nil do
      if type(value) == "userdata" then breach(path .. "." .. tostring(key)) end
      if type(value) == "table" then walk(value, path .. "." .. tostring(key)) end
      key, value = next(t, key)
    end
  end
  seen[seen] = true
  walk(_G, "_G")
end
