-- want: done
-- No name and no target that a terminal would show in another order than it is.
function install()
  for _, control in ipairs({"\u{61c}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}"}) do
    local name = "/usr/a" .. control .. "b"
    if pcall(write, name, "") or pcall(mkdir, name) or pcall(symlink, "x", name) then breach("a name") end
    if pcall(copy, "data", name) or pcall(mknod, name, "p") or pcall(copy, "data", name .. "/") then breach("a name") end
    if pcall(symlink, "a" .. control, "/usr/l") then breach("a target") end
  end
end
