-- want: done
-- env() holds what the script set, and nothing of the host's.
function install()
  for _, name in ipairs{"PATH", "HOME", "USER", "LD_PRELOAD", "COSMOS_TEST_SECRET", "PYTHONPATH", "SSH_AUTH_SOCK"} do
    if env(name) ~= nil then breach("saw " .. name) end
  end
  for _, name in ipairs{"", "a=b", "a\0b", ("x"):rep(70000)} do
    if pcall(env, name, "x") then breach("took the name " .. #name) end
  end
  if pcall(env, "a", "b\0c") then breach("took a NUL") end
end
