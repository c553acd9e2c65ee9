-- want: done
-- `nope/../d` leads to /d while /nope is not there; once it is a link, all verbs must go the same other way.
function install()
  mkdir("/d") mkdir("/q/r")
  symlink("nope/../d", "/l")
  write("/l/before", "")
  symlink("q/r", "/nope")
  write("/l/after", "")
  if not exists("/l/after") or exists("/d/after") then breach("two verbs follow one link to two places") end
end
