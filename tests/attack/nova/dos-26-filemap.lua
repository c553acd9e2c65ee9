-- want: stopped
function install()
  for i = 1, 15000 do write("/f" .. i, "") end
  for i = 1, 15000 do filemap{"/**/*a*b*c" .. i} end
end
