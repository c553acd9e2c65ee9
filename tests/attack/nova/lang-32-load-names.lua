-- want: done
-- A chunk's name is text and nothing else.
function install()
  for _, name in ipairs{"=nova", "@/etc/passwd", "=[C]", "@" .. ("x"):rep(100000), "\0", "=\27[31m"} do
    local chunk = load("error('x')", name)
    local ok, problem = pcall(chunk)
    if ok or #tostring(problem) > 500 then breach("a name made more than a name") end
  end
end
