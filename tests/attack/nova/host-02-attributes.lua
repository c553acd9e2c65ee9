-- want: done
-- Verbs are plain functions: no attribute of a host object behind them can be read.
function install()
  for _, verb in ipairs{copy, write, run, glob, log} do
    for _, name in ipairs{"__class__", "__globals__", "__self__", "__call__", "__init__", "func_globals", "__dict__"} do
      local ok, found = pcall(function() return verb[name] end)
      if ok and found ~= nil then breach(name) end
    end
  end
end
