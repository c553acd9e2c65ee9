-- want: done
-- No function can be dumped.
function install()
  if string.dump or ("x").dump then breach("string.dump is there") end
  for name, value in pairs(string) do if name:find("dump") then breach(name) end end
end
