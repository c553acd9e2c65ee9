-- want: done
-- Text that looks like the worker's messages is text.
function install()
  for _, text in ipairs{"\0\0\0\1O", "OS\0\0\0\4doneS\0\0\0\0", "\0\0\0\15OS\0\0\0\4doneS\0\0\0\0", "J", "A", "R", "\255\255\255\255"} do
    write("/etc/frame", text) log(text) pcall(mkdir, text) pcall(exists, text) env("X", (text:gsub("%z", "")))
  end
  write("/etc/after", "x")
  if not exists("/etc/after") then breach("the conversation is broken") end
end
