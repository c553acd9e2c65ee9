-- want: stopped
-- Repetition of nothing, of very much, and very often.
function install()
  if ("").rep("", 1e18) ~= "" or ("x"):rep(-1e15) ~= "" then breach("rep") end
  for _, size in ipairs{1e9, 1e15, math.maxinteger, 2^31, 2^32} do
    if pcall(string.rep, "xy", size // 1 | 0) then breach("rep of " .. size) end
    if pcall(string.rep, "", size // 1 | 0, "ab") then breach("rep of separators " .. size) end
  end
  while true do local s = ("x"):rep(8 * 2^20) end
end
