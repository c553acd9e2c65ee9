-- want: done
-- Numbers arrive as they are, or are refused.
function install()
  write("/etc/x", "")
  for _, id in ipairs{-1, 2 ^ 32, 1.5, 0 / 0, 1 / 0, math.mininteger, "1x"} do
    if pcall(chown, "/etc/x", id, id) then breach("took the owner " .. tostring(id)) end
  end
  for _, mode in ipairs{-1, 4096 * 8, 2 ^ 40, 0 / 0, "888", "", "7777777", {}} do
    if pcall(chmod, "/etc/x", mode) then breach("took the mode " .. tostring(mode)) end
  end
end
