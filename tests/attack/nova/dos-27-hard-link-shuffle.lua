-- want: stopped
-- Each replacement of a linked file looks for its sharers.
function install()
  for i = 1, 20000 do write("/f" .. i, "") end
  while true do
    copy("hard", "/h")
    write("/h/file", "x")
    chmod("/h/link", "0600")
  end
end
