-- want: done
-- What would differ from run to run has no text.
function install()
  for _, name in ipairs{"bare", "set", "lorem", "random", "do", "utf8"} do
    local ok, problem = pcall(render, "j/" .. name, "/x")
    if ok then breach(name) end
    log(problem)
  end
end
