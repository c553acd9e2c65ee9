-- want: done
-- Names and paths beyond the limits.
function install()
  for _, path in ipairs{("x"):rep(256), ("x/"):rep(65), ("xy/"):rep(400), ("/"):rep(65000) .. "..", ("a/"):rep(30000)} do
    if pcall(write, path, "") then breach("took a path of " .. #path) end
    if pcall(mkdir, path) then breach("took a folder of " .. #path) end
    if pcall(exists, path) and exists(path) then breach("found a path of " .. #path) end
    if pcall(symlink, ("t"):rep(5000), "/x") then breach("took a target of 5000") end
  end
  local huge = ("a/"):rep(6 * 2^20)
  for i = 1, 200 do
    if pcall(exists, huge) or pcall(mkdir, huge) or pcall(copy, huge, "/x") or pcall(glob, huge) then breach("took 12 MiB") end
  end
  symlink(("d/"):rep(40), "/s")
  if pcall(write, "/s/" .. ("d/"):rep(40) .. "x", "") then breach("a link made a path too deep") end
end
