-- Lays busybox at /bin/busybox and links its applets to it where `busybox --install` would.
--
-- The list is what `busybox --list-full` of Debian's busybox-static names. Left out is what other stars bring in full
-- (less, mke2fs, mkdosfs) and what acts on package databases that are not there (dpkg, dpkg-deb, rpm, rpm2cpio).

local applets = {
    {
        folder = "bin",
        target = "busybox",
        names = [==[
            arch ash base64 cat chgrp chmod chown cp cpio cttyhack date dd df dmesg dnsdomainname dumpkmap echo
            ed egrep false fatattr fgrep getopt grep gunzip gzip hostname ionice ipcalc kill link linux32
            linux64 ln login ls lzop mkdir mknod mktemp more mount mt mv netstat nuke pidof ping ping6 ps pwd
            readlink resume rev rm rmdir run-parts sed setpriv sh sleep stat stty su sync tar touch true umount
            uname uncompress usleep vi watch zcat
        ]==],
    },
    {
        folder = "sbin",
        target = "../bin/busybox",
        names = [==[
            acpid adjtimex arp blockdev depmod devmem fdisk findfs freeramdisk fstrim getty halt hwclock
            ifconfig ifdown ifup init insmod ip ipneigh klogd loadkmap logread losetup lsmod mdev mkswap modinfo
            modprobe nameif pivot_root poweroff reboot rmmod route run-init start-stop-daemon sulogin swapoff
            swapon switch_root sysctl syslogd tc tunctl udhcpc uevent vconfig watchdog
        ]==],
    },
    {
        folder = "usr/bin",
        target = "../../bin/busybox",
        names = [==[
            [ [[ ar ascii awk basename bc blkdiscard bunzip2 bzcat bzip2 cal chvt clear cmp crc32 crontab cut dc
            deallocvt diff dirname dos2unix du dumpleases env expand expr factor fallocate find fold free ftpget
            ftpput groups head hexdump hostid id killall last logger logname lsscsi lzcat lzma md5sum microcom
            mkfifo mkpasswd nc nl nproc nsenter nslookup od openvt passwd paste patch printf realpath renice
            reset seq setkeycodes setsid sha1sum sha256sum sha3sum sha512sum shred shuf sort ssl_client strings
            svc svok tac tail taskset tee telnet test tftp time timeout top tr traceroute traceroute6 truncate
            ts tty unexpand uniq unix2dos unlink unlzma unshare unxz unzip uptime uudecode uuencode w wc wget
            which who whoami xargs xxd xz xzcat yes
        ]==],
    },
    {
        folder = "usr/sbin",
        target = "../../bin/busybox",
        names = [==[
            arping brctl chroot crond fsfreeze httpd i2cdetect i2cdump i2cget i2cset i2ctransfer loadfont mim
            nologin partprobe rdate telnetd ubirename udhcpd
        ]==],
    },
}

function install()
    filemap{
        "/bin/*", "/sbin/*", "/usr/bin/*", "/usr/sbin/*", "/usr/share/doc/busybox-static/copyright",
        ["/bin/busybox"] = "0755",
    }
    copy("bin/busybox", install_root .. "/bin/busybox")
    copy("usr/share/doc", install_root .. "/usr/share/doc")
    chmod(install_root .. "/bin/busybox", "0755")
    for _, place in ipairs(applets) do
        for name in string.gmatch(place.names, "%S+") do
            symlink(place.target, install_root .. "/" .. place.folder .. "/" .. name)
        end
    end
end
