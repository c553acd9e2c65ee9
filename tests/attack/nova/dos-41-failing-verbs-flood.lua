-- want: stopped
-- Verbs that fail cost as much.
function install()
  while true do pcall(copy, "nothing", "/x") end
end
