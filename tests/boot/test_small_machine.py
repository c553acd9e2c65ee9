"""A machine with 128 MiB of memory, in QEMU: the single-file binary installs, verifies and shows a system.

The machine boots the kernel of the rescue image with a small initramfs. It unpacks the image's own files onto an empty
disk, and then runs the commands there. The system on the disk has a signed galaxy with a star that is larger than the
machine's memory. The commands run twice: with the loader's folder /tmp on the disk, and in memory (tmpfs).
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.content import pieces
from cosmos.pack.cpio import cpio_pieces
from cosmos.pack.image_file import ImageReader
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.sandbox.on_disk import folder_entries
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

pytestmark = [pytest.mark.boot, pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.xdist_group("boot")]

MEMORY_MIB = 128
LARGE_BYTES = 160 << 20
SECONDS = 1500  # alone it takes 250
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
BIN = Path(sys.executable).parent
GALAXY = "srv/galaxy"
EARLY = re.compile(
    r"usr(/bin|/sbin|/lib|/lib64|/lib/x86_64-linux-gnu)?|usr/bin/busybox|usr/sbin/mke2fs"
    r"|usr/lib(64)?/(x86_64-linux-gnu/)?(lib(c|m|resolv|ext2fs|com_err|e2p|uuid|blkid)\.so|ld-linux)[-.\w]*"
)

FIRST = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /mnt
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
for module in {" ".join(MODULES)}; do /bin/busybox insmod /$module.ko || echo FAILED $module; done
/sbin/mke2fs -q -t ext4 /dev/vda && /bin/busybox mount -t ext4 /dev/vda /mnt || echo FAILED disk
/bin/busybox tar -x -C /mnt -f /dev/vdb || echo FAILED unpack
/bin/busybox mkdir -p /mnt/proc /mnt/dev /mnt/tmp /mnt/var/tmp
/bin/busybox mount -t proc proc /mnt/proc
/bin/busybox mount -t devtmpfs dev /mnt/dev
exec /bin/busybox switch_root /mnt /bin/busybox sh /second
"""
SECOND = """
memory() { busybox awk '/^(MemTotal|MemAvailable|MemFree)/ { printf "%s%s ", $1, $2 }' /proc/meminfo; echo; }
run() {
    echo "RUN $*"
    "$@" </dev/null >/out 2>&1
    echo "EXIT $? of $1 $2 ($tmp)"
    busybox tail -n 40 /out | busybox cut -c1-300
    memory
}
memory
busybox mkdir -p /var/lib/cosmos /etc
for tmp in disk tmpfs; do
    [ $tmp = disk ] || busybox mount -t tmpfs tmpfs /tmp
    if [ $tmp = disk ]; then
        run cosmos init --root /
        run cosmos trust init /trust.toml --sha256 DIGEST --root /
        run cosmos add-galaxy galaxy /srv/galaxy --root /
    fi
    run cosmos sync --full --root /
    run cosmos show small --root /
    run cosmos install $([ $tmp = disk ] && echo large || echo small) --root /
    run cosmos verify --root /
    run cosmos status --root /
    run cosmos freeze --root /
done
echo THE-END
busybox poweroff -f
"""


def command(home: Path, *words: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env={"COSMOS_HOME": str(home)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def signed_galaxy(folder: Path) -> tuple[Path, Path]:
    """Return a galaxy with the stars `large` and `small`, and the trust.toml that pins its keys."""
    home, galaxy = folder / "home", folder / "galaxy"
    for name, size in (("large", LARGE_BYTES), ("small", 5)):
        files = folder / name / "files/usr/share"
        files.mkdir(parents=True)
        with (files / name).open("wb") as stream:
            for place in range(0, size, 1 << 20):
                stream.seek(place)
                stream.write(random.Random(place).randbytes(16 << 10))  # an archive of holes would be refused
            stream.truncate(size)
        (folder / name / "star.toml").write_text(
            f'name = "{name}"\nversion = "1.0.0"\ntype = "normal"\ndescription = "x"\nlicense = "MIT"\narch = "any"\n'
        )
    script = 'function install()\n    copy("files/", "/")\n    write("/etc/small.conf", "a = 1\\n")\nend\n'
    (folder / "small" / "install.lua").write_text(script)
    with (folder / "small" / "star.toml").open("a") as stream:
        stream.write('install_script = "install.lua"\n')
    for role in ("root", "author", "galaxy"):
        command(home, BIN / "cosmos", "key", "new", role, "--role", role, "--no-passphrase")
    keys, trust = home / "keys", folder / "trust.toml"
    pins = [word for role in ("root", "author", "galaxy") for word in (f"--{role}", keys / f"{role}.pub")]
    command(
        home, BIN / "stellar", "trust", "new", "--description", "x", "--out", trust, *pins, "--sign", keys / "root.key"
    )
    command(home, BIN / "stellar", "galaxy-init", galaxy)
    for name in ("large", "small"):
        command(home, BIN / "stellar", "build-star", folder / name, "--out", galaxy / "packages")
    both = ("--key", keys / "author.key", "--key", keys / "galaxy.key")
    command(home, BIN / "stellar", "index-galaxy", galaxy, *both)
    return galaxy, trust


def text_file(path: str, content: bytes, mode: int = 0o755) -> Entry:
    return Entry(path=TreePath(path.encode()), kind="file", mode=mode, content=content)


def system(release: Path, folder: Path, cosmos: Path) -> Iterator[Entry]:
    """Yield the entries of the disk: the rescue image without its kernel and its state, and the galaxy."""
    for entry in ImageReader.open(next(release.glob("*.tar.zst"))).entries():
        top = entry.path.text
        if top == "usr/bin/cosmos":
            yield text_file(top, cosmos.read_bytes())
        elif not top.startswith(("boot", "usr/lib/modules/", "var/lib/cosmos", "etc/cosmos")):
            yield entry
    galaxy, trust = signed_galaxy(folder)
    yield Entry(path=TreePath(b"srv"), kind="dir", mode=0o755)
    yield Entry(path=TreePath(GALAXY.encode()), kind="dir", mode=0o755)
    for entry in folder_entries(galaxy):
        yield Entry(
            path=TreePath(GALAXY.encode() + b"/" + entry.path), kind=entry.kind, mode=entry.mode, content=entry.content
        )
    for file in (trust, trust.with_name("trust.toml.dsse")):
        yield text_file(file.name, file.read_bytes(), 0o644)
    digest = subprocess.run(["sha256sum", trust], capture_output=True, text=True, check=True).stdout.split()[0]
    yield text_file("second", SECOND.replace("DIGEST", digest).encode())


def initramfs(release: Path) -> Iterator[Entry]:
    """Yield what unpacks the disk: busybox, mke2fs, their libraries, and the modules of the disk."""
    yield text_file("first", FIRST.encode())
    for entry in ImageReader.open(next(release.glob("*.tar.zst"))).entries():
        path, name = entry.path.text, entry.path.name.decode()
        if name.endswith(".ko"):
            if name.removesuffix(".ko").replace("-", "_") in MODULES:
                yield text_file(name.replace("-", "_"), bytes(entry.content))
        elif entry.path.parent == b"" or EARLY.fullmatch(path):
            yield entry


def started(release: Path, cosmos: Path, folder: Path, memory_mib: int) -> str:
    """Return what the machine wrote on its console."""
    early, disk, tar, console = (folder / name for name in ("early.cpio", "disk", "system.tar", "console"))
    with early.open("wb") as stream:
        stream.writelines(piece for part in cpio_pieces(initramfs(release)) for piece in pieces(part))
    with tar.open("wb") as stream:
        stream.writelines(piece for part in tar_members(system(release, folder, cosmos)) for piece in pieces(part))
        stream.write(TAR_END)
    with disk.open("wb") as stream:
        stream.truncate(2 << 30)
    program = shutil.which("qemu-system-x86_64")
    assert program, "qemu is missing: apt-get install qemu-system-x86"
    words = [
        *(program, "-accel", "tcg", "-cpu", "max", "-m", str(memory_mib), "-no-reboot", "-nodefaults"),
        *("-display", "none", "-serial", f"file:{console}", "-kernel", str(release / "vmlinuz"), "-initrd", str(early)),
        *("-drive", f"file={disk},format=raw,if=virtio", "-drive", f"file={tar},format=raw,if=virtio,readonly=on"),
        *("-append", "console=ttyS0 panic=-1 loglevel=4 rdinit=/first"),
    ]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(words, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
    return console.read_text(errors="replace")


def test_the_single_file_binary_works_with_128_mib(release: Path, tmp_path: Path) -> None:
    console = started(release, release / "cosmos", tmp_path, MEMORY_MIB)
    assert "THE-END" in console, console
    exits = re.findall(r"^EXIT (\d+) of (.*?)\r?$", console, re.MULTILINE)
    assert len(exits) == 15, console
    assert [what for status, what in exits if status != "0"] == [], console
