-- want: done
-- Slashes and dots at the end name the same place.
function install()
  mkdir("/usr/d/") mkdir("/usr/d/.") mkdir("usr//d")
  if pcall(write, "/usr/d/", "x") then breach("wrote to a folder") end
  if pcall(write, "/usr/d/.", "x") then breach("wrote to a folder's dot") end
  if #glob("/usr/d*") ~= 1 then breach("one folder, several names") end
end
