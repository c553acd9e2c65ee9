-- want: done
-- string.pack and unpack refuse what they cannot do.
function install()
  for _, f in ipairs{"i17", "!17i4", "z\0", "Xz", "s99", "c", "j" .. ("j"):rep(100000), "<>=!16i16"} do pcall(string.pack, f, 1, "x") end
  for _, f in ipairs{"s8", "z", "c1000000000", "i16", "!8Xj"} do
    if pcall(string.unpack, f, "\255\255\255\255\255\255\255\127") and f == "s8" then breach("read past the end") end
  end
  if pcall(string.unpack, "i4", "abcd", 100) then breach("position past the end") end
end
