-- want: done
-- No Python attribute is found on anything that a script holds.
function install()
  for _, value in ipairs{copy, log, write, env, install_root, glob("/**")} do
    for _, name in ipairs{"__class__", "__globals__", "__self__", "__init__", "__builtins__", "__dict__", "__code__", "gi_frame"} do
      local ok, found = pcall(function() return value[name] end)
      if ok and found ~= nil then breach(name) end
    end
  end
end
