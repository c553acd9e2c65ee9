-- want: stopped
-- Functions of C that walk through all of a long text.
function install()
  local spaces, bytes = (" "):rep(8 * 2^20), ("x"):rep(4 * 2^20)
  while true do
    tonumber(spaces) tonumber(spaces, 36) utf8.len(bytes) bytes:reverse() bytes:upper() pcall(string.packsize, bytes)
    pcall(string.pack, bytes) pcall(string.format, bytes) pcall(utf8.offset, bytes, 4000000)
  end
end
