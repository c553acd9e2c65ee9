-- want: done
-- What a script leaves behind does not slow its end.
function install()
  held = {}
  for i = 1, 100000 do held[i] = {i} end
end
