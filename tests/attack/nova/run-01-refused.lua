-- want: done
-- Programs run only where the operator allows them.
function install()
  for _, command in ipairs{"id", "sh -c id", {"sh", "-c", "touch /tmp/owned"}, {"/bin/sh"}, {"env"}} do
    local ok, problem = pcall(run, command)
    if ok or not problem:find("not allowed", 1, true) then breach("ran a program: " .. tostring(problem)) end
  end
end
