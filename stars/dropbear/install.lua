-- Copies dropbear, gives its client the name that people type, and makes the folder for the host keys.
-- dropbear makes the keys when it first needs them (`-R`), so that no image carries a secret.

function install()
    filemap{
        "/usr/bin/dbclient", "/usr/bin/dropbearconvert", "/usr/bin/dropbearkey", "/usr/bin/ssh", "/usr/sbin/dropbear",
        "/usr/share/doc/dropbear-bin/copyright",
        ["/etc/dropbear"] = "0700",
    }
    copy("usr", install_root .. "/usr")
    symlink("dbclient", install_root .. "/usr/bin/ssh")
    mkdir(install_root .. "/etc/dropbear")
    chmod(install_root .. "/etc/dropbear", "0700")
end
