-- want: stopped
function install()
  for i = 1, 20000 do write("/d" .. i % 100 .. "/" .. ("a"):rep(100) .. i, "") end
  while true do glob("/**/*a*a*a*a*a*a*a*b") end
end
