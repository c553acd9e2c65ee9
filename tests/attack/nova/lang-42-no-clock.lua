-- want: done
-- Nothing tells the time, a random number, an address, a name of the host.
function install()
  for _, name in ipairs{"os", "io", "debug", "package", "require", "dofile", "loadfile", "coroutine", "collectgarbage",
    "warn", "python", "lupa", "arg", "jit", "ffi", "bit32"} do
    if _G[name] ~= nil then breach(name .. " is there") end
  end
  for _, name in ipairs{"random", "randomseed"} do if math[name] then breach(name .. " is there") end end
  for _, value in ipairs{{}, print, function() end} do
    if tostring(value):find("%d") or string.format("%s", value):find("0x") then breach("an address") end
  end
end
