-- want: done
-- Many closures share no state with the host's.
function install()
  local all = {}
  for i = 1, 1000 do all[i] = function() return i end end
  for i = 1, 1000 do if all[i]() ~= i then breach("a closure was mixed up") end end
end
