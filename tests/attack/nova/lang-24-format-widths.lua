-- want: done
-- string.format's widths and flags are bounded.
function install()
  for _, f in ipairs{"%9999d", "%.9999f", "%-+ #0100d", "%q", "%n", "%hhd", "%ls", "%*d", "%1$s", "%"} do
    local ok, text = pcall(string.format, f, 1)
    if ok and #text > 512 then breach("a width of thousands: " .. f) end
  end
  if pcall(string.format, "%q", {}) then breach("quoted a table") end
  if pcall(string.format, "%d", 1.5) then breach("a fraction as an integer") end
end
