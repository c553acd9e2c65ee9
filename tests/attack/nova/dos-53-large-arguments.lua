-- want: stopped
-- What costs the builder more than it is charged would let a script hold a build for hours.
local junk = ("\255\0\27"):rep(20000)
function install()
  for round = 1, 10000000 do
    pcall(copy, junk, "/x")
    pcall(setcap, "/x", junk)
    pcall(symlink, "t", junk)
    pcall(glob, junk)
  end
end
