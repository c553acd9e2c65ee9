-- want: done
-- Each verb, called with every kind of value in every place, fails as a script's error.
function install()
  local values = {0, -1, 1.5, 1 / 0, 0 / 0, math.mininteger, math.maxinteger, "", "/", "\0", ("x"):rep(70000), true, false, {}, print}
  for name, verb in pairs{copy = copy, symlink = symlink, mkdir = mkdir, chmod = chmod, chown = chown, exists = exists, write = write,
    setcap = setcap, mknod = mknod, glob = glob, env = env, render = render, run = run} do
    for _, one in ipairs(values) do
      for _, two in ipairs(values) do
        local ok, problem = pcall(verb, one, two, one, two)
        if not ok and type(problem) ~= "string" then breach(name .. " raised a " .. type(problem)) end
        if not ok and problem:find("Traceback", 1, true) then breach(name .. ": " .. problem) end
      end
    end
  end
end
