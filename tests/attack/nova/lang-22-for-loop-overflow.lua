-- want: done
-- A numeric loop at the largest integer ends.
function install()
  local n = 0
  for i = math.maxinteger - 2, math.maxinteger do n = n + 1 end
  for i = math.mininteger + 2, math.mininteger, -1 do n = n + 1 end
  if n ~= 6 then breach("the loop wrapped") end
  if pcall(function() for i = 1, 10, 0 do end end) then breach("a step of 0") end
end
