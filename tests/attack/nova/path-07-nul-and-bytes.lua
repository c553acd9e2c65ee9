-- want: done
-- NULs, control characters and bytes that are no UTF-8.
function install()
  for _, path in ipairs{"a\0b", "\0", "/etc\0/passwd", "a/\0/b"} do
    if pcall(write, path, "") then breach("took a NUL") end
    if pcall(symlink, path, "/x") then breach("took a NUL in a target") end
  end
  write("/\xff\xfe", "")
  write("/\27[31mred", "")
  write("/new\nline", "")
  if #glob("/*") ~= 4 then breach("odd names are lost") end
end
