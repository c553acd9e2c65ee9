-- want: done
-- programs: allowed
-- Every verb, in a layer that is compared byte for byte.
log("root", install_root, env("HOME"), env("PATH"))

function install()
  filemap{"/opt/**", "/usr/**", "/etc/**", "/dev/**", "/run/**"}
  copy("many/", "/usr/share/many/")
  copy("hard", "/opt/")
  copy("data", "/usr/bin/tool")
  chmod("/usr/bin/tool", "4755")
  chown("/usr/bin/tool", 7, 8)
  setcap("/usr/bin/tool", "cap_net_raw+ep")
  symlink("tool", "/usr/bin/t")
  mkdir("/etc/tool", "0700")
  mkdir("/usr/share/tool")
  mknod("/dev/null", "c", 1, 3, "0666")
  mknod("/run/pipe", "p")
  write("/etc/tool/conf", "x = 1\n")
  write("/etc/tool/key", ("k"):rep(1000), "0600")
  render("j/shows", "/etc/tool/made", {vars = {name = "x", list = {1, 2}, nested = {b = true, a = "\u{e4}"}}})
  print(exists("/usr/lib/libdep.so"), exists("/etc/passwd"), exists("/usr/lib"))
  for _, path in ipairs(glob("/usr/share/many/1*")) do log(path) end
  env("CFLAGS", "-O2")
  run{"make", "-j2", "all"}
  run("make install")
  log(pcall(copy, "nowhere", "/x"))
end
