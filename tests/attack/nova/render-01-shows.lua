-- want: done
-- Honest templates: the same text everywhere, whatever has been rendered before.
function install()
  for n = 1, 20 do
    render("j/shows", "/shows" .. n, {vars = {b = {1, {x = "y"}}, a = "\"{{ c }}\"", c = n, e = {}}})
    if pcall(render, "j/shows", "/x", {}) then breach("variables of an earlier template") end
  end
  if exists("/x") then breach("a file of a template that failed") end
  render("j/lazy", "/lazy")
end
