-- want: done
-- There is no other template, no file, no module.
function install()
  for _, name in ipairs{"include", "extends", "import"} do
    local ok, problem = pcall(render, "j/" .. name, "/x")
    if ok then breach(name) end
    if not string.find(problem, "stands alone", 1, true) then breach(problem) end
  end
end
