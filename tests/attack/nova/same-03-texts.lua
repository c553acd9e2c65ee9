-- want: done
-- Every text that Lua makes of a value, an error or a number.
function install()
  local named = setmetatable({}, {__name = "Thing"})
  log({}, print, named, install, nil, true, 0/0, -(0/0), 1/0, -1/0, -0.0, 1e15, 2^53, 2^63, 1e100, 0.1, 1/3, math.pi)
  log(("%s %s %q %q %d %5.2f %g %e %a %x %c %i %u|"):format({}, named, "\0\n\xe4\x85", 1/3, 3, 2/3, 1e20, 5, 1, 255, 65, 7, 8))
  log(("%10s|%-10s|%.3s"):format(print, {}, "abcdef"), ("%f %g"):format(0/0, 0/0))
  log(("\xe4\xc4aZ"):upper(), ("\xe4\xc4aZ"):lower(), ("\xe4 a1"):find("%a"), ("\xe4_"):gsub("%W", "-"))
  log("a" < "B", "\xe4" < "z", "a\0b" < "a\0c", tostring(12345.678), tonumber("1,5"), tonumber("0x1p4"))
  for _, wrong in ipairs{
    function() return {} + 1 end, function() return {} .. "x" end, function() return {} < {} end,
    function() return #nil end, function() local x; x.y = 1 end, function() error({}) end, function() error(named) end,
    function() ("x"):bad() end, function() return 1 // 0 end, function() string.rep("x", 1e9) end,
    function() return 1 < "2" end, function() setmetatable({}, {__mode = "k"}) end, function() load(1)() end,
    function() string.format("%d", "x") end, function() table.concat({{}}) end, function() copy(print, {}) end,
  } do
    log(pcall(wrong))
  end
  write("/numbers", table.concat({0.1, 1/3, 2^63, -0.0, 1e300, 7 // 2, 7 / 2, 2^0.5}, "\n"))
  log(load("return +", "=x"))
  log(pcall(load("local a <const> = 1; return a + nil", "@chunk")))
end
