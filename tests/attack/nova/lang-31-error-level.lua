-- want: failed
-- error() with any level shows no frame of the host.
function install()
  for level = -5, 50 do
    local ok, problem = pcall(error, "x", level)
    if tostring(problem):find("%.py") or tostring(problem):find("/", 1, true) then breach(problem) end
  end
  error("done", 1000)
end
