-- want: done
-- No spelling of .. is another way up.
function install()
  for _, path in ipairs{"/..", "../x", "/a/../x", "/a/..", "..", "./..", "/./../x", "//..//x", "/a//../x"} do
    if pcall(write, path, "x") then breach("took " .. path) end
  end
  for _, path in ipairs{"/%2e%2e/x", "/..\\x", "/\u{2025}/x", "/\192\174\192\174/x"} do pcall(write, path, "x") end
  if exists("/x") then breach("it came out at the root") end
end
