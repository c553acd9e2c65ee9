-- want: done
-- Numbers of every kind where strings and modes are wanted.
function install()
  write("/x", "")
  local odd = {0/0, 1/0, -1/0, 2^63, -2^63, math.maxinteger, math.mininteger, 1e308, 0.5, -1, 2^31, 2^32, true}
  for _, number in ipairs(odd) do
    for _, verb in ipairs{"copy", "mkdir", "symlink", "glob", "exists"} do
      if pcall(_G[verb], number, number) then breach(verb .. " took " .. tostring(number)) end
    end
    if pcall(chmod, "/x", number) then breach("chmod took " .. tostring(number)) end
    if number ~= 2^31 and pcall(chown, "/x", number, number) then breach("chown took " .. tostring(number)) end
    if pcall(mknod, "/n", "c", number, number) then breach("mknod took " .. tostring(number)) end
  end
end
