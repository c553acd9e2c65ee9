-- want: done
-- Weak tables, which would show when Lua collects, are refused.
function install()
  for _, mode in ipairs{"k", "v", "kv"} do
    if pcall(setmetatable, {}, {__mode = mode}) then breach("a weak table") end
  end
  if collectgarbage then breach("collectgarbage is there") end
end
