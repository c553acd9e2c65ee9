-- Copies the kernel, and links /boot/vmlinuz to it, so that an image definition need not name a version.

function install()
    filemap{"/boot/vmlinuz", "/boot/vmlinuz-*", "/usr/share/doc/linux-image-*/copyright"}
    copy("boot", install_root .. "/boot")
    copy("usr", install_root .. "/usr")
    for _, path in ipairs(glob(install_root .. "/boot/vmlinuz-*")) do
        symlink(string.match(path, "[^/]+$"), install_root .. "/boot/vmlinuz")
    end
end
