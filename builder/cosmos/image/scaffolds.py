"""The texts of what `cosmos new` makes. Only the texts of image.toml have fields in braces; the others are used as is.

A bootable scaffold holds its whole template, so that its reader sees every file of the system that no star brings.
"""

from __future__ import annotations

from typing import Final

from cosmos.records import dataclass

_HEAD: Final = """\
# What the image is made of: docs/formats/image.md names every key.
name = {name}
version = "0.1.0"
description = {description}
arch = {arch}
template = {template}
source-date-epoch = {epoch}  # no file in the image is newer than this
"""
_GALAXIES: Final = """
[galaxies]  # name = "path or http:// address", in order of priority
{galaxy} = {url}
"""
_PACKED: Final = """
[[output]]  # the image in layers, for `cosmos verify`, `cosmos diff` and updates
format = "tar.zst"
"""
_STARTED: Final = """
[[output]]  # what `cosmos boot` starts: the whole tree as an initramfs, and the kernel
format = "cpio.zst"
exclude = ["boot/**"]  # the kernel lies beside it

[[output]]
format = "file"
path = "boot/vmlinuz-*"
as = "vmlinuz"

[policy]
outside = ["linux-cloud"]  # may install outside /usr and /etc: the kernel, in /boot
"""
_EMPTY: Final = (
    _HEAD
    + """
[stars]  # name = "constraint"
"""
    + _GALAXIES
    + """
[vars]  # for the template
hostname = {name}
"""
    + _PACKED
)
_MINIMAL: Final = (
    _HEAD
    + """
[stars]  # name = "constraint"; `cosmos add IMAGE STAR` writes such a line
busybox = "*"
linux-cloud = "*"
linux-modules = "*"
"""
    + _GALAXIES
    + """
[vars]  # for the template: template/template.toml declares them all
hostname = {name}
console_shell = "root-without-password"  # whoever reaches a terminal is root; "none" starts no shell
# address = "192.168.1.10/24 via 192.168.1.1"  # a static address; without this line DHCP gives one
"""
    + _PACKED
    + _STARTED
)
_APPLIANCE: Final = (
    _HEAD
    + """
[stars]  # name = "constraint"; `cosmos add IMAGE STAR` writes such a line
busybox = "*"
dropbear = "*"
linux-cloud = "*"
linux-modules = "*"
"""
    + _GALAXIES
    + """
[vars]  # for the template: template/template.toml declares them all
hostname = {name}
address = "10.0.2.15/24 via 10.0.2.2"  # of the first network card; this one is right inside QEMU
ssh_keys = []  # who may log in as root: the line of a .pub file, such as "ssh-ed25519 AAAA… you@desk"
console_shell = "none"  # "root-without-password" gives a root shell to everybody who reaches a terminal
port = 80  # of the service
"""
    + _PACKED
    + _STARTED
)
_RESCUE: Final = (
    _HEAD
    + """
[stars]  # name = "constraint"; `cosmos add IMAGE STAR` writes such a line
core-stack = "^1.0"
ddrescue = "*"
dosfstools = "^4.2"
dropbear = "*"
e2fsprogs = "^1.47"
hdparm = "*"
less = "*"
nano = ">=7.2"
strace = "*"
tree = "*"
zstd = "^1.5"
"""
    + _GALAXIES
    + """
[vars]  # for the template: rootfs-templates/rescue/template.toml declares them all
hostname = {name}
console_shell = "root-without-password"  # whoever reaches a terminal is root
ssh_keys = []  # who may log in as root: the line of a .pub file, such as "ssh-ed25519 AAAA… you@desk"
"""
    + _PACKED
    + _STARTED.replace('exclude = ["boot/**"]  # the kernel lies beside it\n', "")  # cosmos verifies /boot inside
)

_HOSTNAME: Final = {"root/etc/hostname.j2": "{{ hostname }}\n"}
_EMPTY_TEMPLATE: Final = {
    "template.toml": """\
# The tree that the stars are laid on: docs/formats/template.md.
merged-usr = true

[variables.hostname]
type = "string"
meaning = "the machine's name"
default = "cosmos"
""",
    **_HOSTNAME,
}
_DECLARATIONS: Final = """\
# The tree that the stars are laid on, and what image.toml may set in [vars]: docs/formats/template.md.
description = "a system that runs from memory, with busybox as its init"
merged-usr = true

[variables.hostname]
type = "string"
default = "cosmos"
meaning = "the machine's name"

[variables.address]
type = "string"
default = "dhcp"
meaning = "of the first network card: dhcp, none, or a static one such as 192.168.1.10/24 via 192.168.1.1"

[variables.nameservers]
type = "strings"
default = []
meaning = "name servers, besides those that DHCP names"

[variables.ssh_keys]
type = "strings"
default = []
meaning = "public keys that may log in as root over SSH, if the image has the star dropbear"

# no default: whoever makes an image states who gets a root shell
[variables.console_shell]
type = "string"
choices = ["none", "root-without-password"]
meaning = "what the terminals give: none, or root-without-password"
"""
_ACCOUNTS: Final = """
[[group]]
name = "root"
gid = 0
[[group]]
name = "nogroup"
gid = 65534

[[user]]
name = "root"
uid = 0
group = "root"
home = "/root"
shell = "/bin/sh"
password = "locked"
[[user]]
name = "nobody"
uid = 65534
group = "nogroup"
home = "/nonexistent"
shell = "/usr/sbin/nologin"
password = "locked"

[paths]  # modes, owners, and what is no plain file
"init" = { kind = "symlink", target = "usr/bin/busybox" }
"etc/resolv.conf" = { kind = "symlink", target = "../run/resolv.conf" }
"etc/shadow" = { mode = "0600" }
"etc/init.d/start" = { mode = "0755" }
"etc/init.d/dhcp" = { mode = "0755" }
"etc/init.d/well" = { mode = "0755" }
"dev" = { kind = "dir" }
"dev/console" = { kind = "char", mode = "0600", major = 5, minor = 1 }
"dev/null" = { kind = "char", mode = "0666", major = 1, minor = 3 }
"proc" = { kind = "dir", mode = "0555" }
"root" = { kind = "dir", mode = "0700" }
"root/.ssh" = { kind = "dir", mode = "0700" }
"root/.ssh/authorized_keys" = { mode = "0600" }
"run" = { kind = "dir" }
"sys" = { kind = "dir", mode = "0555" }
"tmp" = { kind = "dir", mode = "1777" }
"var/log" = { kind = "dir" }
"""
_INITTAB: Final = """\
# terminal::action:program, read by busybox's init
::sysinit:/etc/init.d/start
::once:/etc/init.d/well
{% if console_shell == "root-without-password" %}
ttyS0::respawn:-/bin/sh
tty1::respawn:-/bin/sh
{% endif %}
"""
_STOPPING: Final = """\
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r
"""
_WELL: Final = """\
#!/bin/sh
# Says that the system is well, with the marker that `cosmos boot` waits for. It is said here and nowhere else, and
# only if everything above it succeeded: put a question to your own service here.
set -eu
trap '[ $? = 0 ] || echo "COSMOS-FAILED: /etc/init.d/well"' EXIT

[ "$(hostname)" = "$(cat /etc/hostname)" ]
"""
_SAID: Final = """\

printf '\\n%s\\n' "$(cat /etc/marker)"  # on a line of its own, whatever a shell has written there
for word in $(cat /proc/cmdline); do
    [ "$word" != cosmos.poweroff ] || poweroff -f
done
"""
_HOME: Final = "root"  # of the user root, in the tree
_SYSTEM: Final = {
    **_HOSTNAME,
    "root/etc/hosts.j2": "127.0.0.1\tlocalhost\n127.0.1.1\t{{ hostname }}\n::1\tlocalhost\n",
    "root/etc/marker.j2": "{{ image.marker }}\n",
    "root/etc/passwd.j2": """\
{% for user in users %}
{{ user.name }}:x:{{ user.uid }}:{{ user.gid }}::{{ user.home }}:{{ user.shell }}
{% endfor %}
""",
    "root/etc/group.j2": """\
{% for group in groups %}
{{ group.name }}:x:{{ group.gid }}:
{% endfor %}
""",
    "root/etc/shadow.j2": """\
{% for user in users %}
{{ user.name }}:{{ user.password }}::0:99999:7:::
{% endfor %}
""",
    "root/etc/shells": "/bin/sh\n",
    "root/etc/network.j2": "address='{{ address }}'\n",
    "root/etc/nameservers.j2": "{% for server in nameservers %}\nnameserver {{ server }}\n{% endfor %}\n",
    f"root/{_HOME}/.ssh/authorized_keys.j2": "{% for key in ssh_keys %}\n{{ key }}\n{% endfor %}\n",
    "root/etc/init.d/start": """\
#!/bin/sh
# The first thing that init runs.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

chmod 0755 /  # the kernel lets everybody write to the root of an initramfs
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts -o nosuid,noexec,gid=0,mode=0620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /tmp
hostname -F /etc/hostname

echo 'start: modules'
# What the hardware asks for; a driver may bring forth further devices, hence the second round.
for round in 1 2; do
    find /sys/devices -name modalias -exec cat '{}' + | sort -u | xargs modprobe -a -q
done 2>/var/log/modules.log

echo 'start: network'
ip link set lo up
cp /etc/nameservers /run/resolv.conf
. /etc/network
for card in /sys/class/net/*; do
    card=${card##*/}
    [ "$card" != lo ] || continue
    case "$address" in
    none) ;;
    dhcp)
        ip link set "$card" up
        udhcpc -i "$card" -s /etc/init.d/dhcp -q -n -t 5 -T 2 >/var/log/network.log 2>&1 &
        ;;
    *)
        ip link set "$card" up
        ip addr add "${address%% *}" dev "$card"
        [ "${address##* via }" = "$address" ] || ip route add default via "${address##* via }"
        break
        ;;
    esac
done

echo 'start: services'
if [ -s "$HOME/.ssh/authorized_keys" ] && [ -x /usr/sbin/dropbear ]; then
    dropbear -R -s -j -k  # it makes its own key at the first login, and takes no passwords
fi
exit 0
""",
    "root/etc/init.d/dhcp": """\
#!/bin/sh
# What udhcpc runs when an address comes or goes: its answer is in the environment.
case "$1" in
deconfig) ip addr flush dev "$interface" ;;
bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do
        ip route add default via "$gateway" dev "$interface"
    done
    for server in $dns; do
        echo "nameserver $server"
    done >>/run/resolv.conf
    ;;
esac
""",
}
_MINIMAL_TEMPLATE: Final = {
    "template.toml": _DECLARATIONS + _ACCOUNTS,
    **_SYSTEM,
    "root/etc/inittab.j2": _INITTAB + _STOPPING,
    "root/etc/init.d/well": _WELL + _SAID,
}
_APPLIANCE_FILES: Final = {
    "template.toml": _DECLARATIONS
    + """
[variables.port]
type = "integer"
default = 80
meaning = "the TCP port of the service"
"""
    + _ACCOUNTS
    + """\
"etc/init.d/service" = { mode = "0755" }
""",
    **_SYSTEM,
    "root/etc/inittab.j2": _INITTAB + "::respawn:/etc/init.d/service\n" + _STOPPING,
    "root/etc/init.d/service.j2": """\
#!/bin/sh
# Your service: init starts it again whenever it ends. This one serves /srv/www.
exec httpd -f -p {{ port }} -h /srv/www
""",
    "root/etc/init.d/well.j2": _WELL
    + """\
for second in 1 2 3 4 5 6 7 8 9 10; do
    ! wget -q -O /run/answer http://127.0.0.1:{{ port }}/ || break
    sleep 1
done
cmp /run/answer /srv/www/index.html
"""
    + _SAID,
    "root/srv/www/index.html.j2": """\
<!doctype html>
<title>{{ hostname }}</title>
<p>{{ image.name }} {{ image.version }} is well.
""",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaffold:
    """What `cosmos new` can make. `files` are those of the folder template/; without any, `template` names another.

    `is_bootable`: its stars are a kernel and what runs on it.
    """

    meaning: str
    image: str
    template: str = "./template"
    files: dict[str, str]
    is_bootable: bool = True


SCAFFOLDS: Final = {
    "minimal": Scaffold(
        meaning="the least that boots: a kernel, busybox, a shell, the network", image=_MINIMAL, files=_MINIMAL_TEMPLATE
    ),
    "appliance": Scaffold(
        meaning="a service of your own, a static address, and SSH for your key",
        image=_APPLIANCE,
        files=_APPLIANCE_FILES,
    ),
    "rescue": Scaffold(
        meaning="the tools of images/rescue; only inside of the repository", image=_RESCUE, template="rescue", files={}
    ),
    "empty": Scaffold(
        meaning="no star; for a galaxy of your own; does not boot",
        image=_EMPTY,
        files=_EMPTY_TEMPLATE,
        is_bootable=False,
    ),
}
