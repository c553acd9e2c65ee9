-- want: done
-- Arithmetic at the edges raises or wraps, and never crashes.
function install()
  for _, f in ipairs{function() return math.mininteger // -1 end, function() return math.mininteger % -1 end,
    function() return 1 << 64 end, function() return 1 >> -1 end, function() return math.maxinteger + 1 end} do f() end
  if pcall(function() return 1 // 0 end) then breach("divided by zero") end
  if pcall(function() return 1 % 0 end) then breach("modulo zero") end
end
