-- want: done
-- The builder's own files are not there.
function install()
  for _, path in ipairs{"/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/self/mem", "/root", "/home", "/tmp",
                        "/dev/null", "/bin/sh", "/usr/bin/python3", "/canary-of-the-host"} do
    if exists(path) then breach("sees " .. path) end
    if pcall(copy, path, "/stolen") then breach("copied " .. path) end
    if pcall(render, path, "/stolen", {}) then breach("rendered " .. path) end
    if pcall(chmod, path, "0777") then breach("changed " .. path) end
  end
  if #glob("/**") > 0 and not exists("/usr") then breach("glob sees " .. glob("/**")[1]) end
end
