-- want: done
-- Nothing that reaches outside may be found by name, in `_G`, in `_ENV`, or in what a fresh chunk sees.
local names = {"os", "io", "package", "debug", "coroutine", "require", "dofile", "loadfile", "loadstring", "collectgarbage",
  "python", "lupa", "warn", "newproxy", "module", "getfenv", "setfenv", "call", "nova"}
function install()
  for _, name in ipairs(names) do
    if _G[name] ~= nil or _ENV[name] ~= nil then breach(name) end
    local found = load("return " .. name)()
    if found ~= nil then breach(name) end
  end
end
