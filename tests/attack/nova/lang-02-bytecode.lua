-- want: done
-- Bytecode would step round every check of the compiler.
function install()
  for _, mode in ipairs{"b", "bt", "t", "tb"} do
    local made = load("\27Lua\x54\0\x19\x93\r\n\x1a\n", "x", mode)
    if made then breach("bytecode loaded in mode " .. mode) end
  end
  if string.dump then breach("string.dump") end
end
