-- want: done
-- The host's proc, dev and sys are not there.
function install()
  for _, path in ipairs{"/proc/self/environ", "/proc/self/exe", "/proc/self/fd/0", "/dev/null", "/dev/mem", "/sys/kernel", "/run"} do
    if exists(path) then breach("saw " .. path) end
    if pcall(copy, path, "/usr/x") then breach("copied " .. path) end
    if pcall(render, path, "/usr/x", {}) then breach("rendered " .. path) end
  end
end
