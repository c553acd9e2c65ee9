-- want: done
-- Globs that would take a matcher with backtracking for ever.
function install()
  for i = 1, 200 do write("/" .. ("a"):rep(200) .. i, "") end
  for _, pattern in ipairs{("*a"):rep(120) .. "b", ("**/"):rep(60) .. "b", ("*/"):rep(60), ("?*"):rep(120) .. "b"} do
    if #glob("/" .. pattern) > 0 then breach(pattern) end
  end
  for _, pattern in ipairs{"/../*", "/a**", "**b", "\0*", ""} do
    if pcall(glob, pattern) then breach("took " .. pattern) end
  end
end
