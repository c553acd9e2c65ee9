-- want: done
-- A link that changes its target between two verbs leads inside, each time.
function install()
  for i = 1, 200 do
    symlink(i % 2 == 0 and "/usr/a" or "../tmp", "/usr/swap")
    pcall(write, "/usr/swap/x" .. i, "x")
  end
  for _, path in ipairs(glob("/**")) do if path:find("..", 1, true) then breach(path) end end
end
