-- want: done
-- Huge numbers and repeated text are refused before they are made.
function install()
  for _, name in ipairs{"power", "repeated"} do
    local ok, problem = pcall(render, "j/" .. name, "/x")
    if ok then breach(name) end
    log(problem)
  end
end
