-- want: done
-- Every way out of Jinja2's sandbox that was ever published, and some more.
function install()
  for n = 0, 26 do
    local ok, problem = pcall(render, "j/out" .. n, "/x" .. n, {x = "x"})
    if ok then breach("j/out" .. n) end
    log(problem)
  end
end
