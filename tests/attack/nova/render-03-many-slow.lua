-- want: stopped
-- Many templates share one budget.
function install()
  for n = 1, 10000 do pcall(render, "j/slow", "/x") end
  breach("each had its own")
end
