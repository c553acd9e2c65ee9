-- want: done
-- A tree as deep as is allowed, and no deeper.
function install()
  local path = "/usr"
  for i = 1, 200 do
    path = path .. "/d"
    local ok = pcall(mkdir, path)
    if ok and i > 63 then breach("deeper than 64: " .. i) end
  end
end
