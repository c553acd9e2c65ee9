"""The story of a system without network: from a read-only stick it installs, updates, is damaged, repaired and frozen.

It runs in the booted rescue image, in QEMU, with the stick as a second disk; and with the same single-file binary in a
root of three stars: cosmos, busybox, glibc-runtime.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.release.boot import BootRequest, bootable_of, qemu_arguments
from fakes.galaxies import Signers, StarSpec, make_galaxy, make_signers
from fakes.programs import Cosmos

pytestmark = [pytest.mark.boot, pytest.mark.slow, pytest.mark.xdist_group("boot")]

SECONDS = 900  # alone it takes 60
END = "THE-STORY-ENDS"
SCRIPT = "function install()\n    copy('usr', '/usr')\n    write('/etc/app.conf', 'level = 1\\n')\nend\n"
BASE = StarSpec("base", "1.0.0", {"usr/share/base": b"base one\n"})
APP = StarSpec("app", "1.0.0", {"usr/share/app": b"app one\n"}, {"base": "*"}, script=SCRIPT)
BASE_2 = StarSpec("base", "1.1.0", {"usr/share/base": b"base two\n"})
APP_2 = replace(APP, version="1.1.0", files={"usr/share/app": b"app two\n"}, script=SCRIPT.replace("1", "2"))
# Each line: the exit code that it must have, and a command. `stick` is where the stick lies.
STORY = """
0 cosmos trust init $stick/trust.toml --sha256 DIGEST
0 cosmos add-galaxy core $stick/core
0 cosmos add-galaxy tools $stick/one
0 cosmos install app --yes
0 grep -q one /usr/share/app
4 cosmos sync tools --from $stick/forged
0 cosmos remove-galaxy tools
0 cosmos add-galaxy tools $stick/two
0 cosmos update --all --yes
0 grep -q two /usr/share/app
0 grep -q two /usr/share/base
0 cosmos verify
0 sh -c 'echo damage >>/usr/share/base'
7 cosmos verify
0 cosmos repair
0 cosmos verify
0 grep -q two /usr/share/base
0 cosmos freeze
0 cosmos uninstall app --yes
1 test -e /usr/share/app
0 cosmos autoremove --yes
1 test -e /usr/share/base
0 cosmos verify
0 cosmos history
"""


def make_stick(folder: Path, home: Path) -> Path:
    """Return the stick's folder: the keys of `home` and its galaxy, another galaxy in two states and forged, the story.

    The keys of `home` sign the other galaxy, too.
    """
    stick = folder / "stick"
    shutil.copytree(home / "galaxy", stick / "core")
    for name in ("trust.toml", "trust.toml.dsse"):
        shutil.copy(home / "trust" / name, stick / name)
    trust = stick / "trust.toml"
    keys = home / "keys"
    signers = Signers(
        {"author": SecretKey.load(keys / "author.key", bytes), "galaxy": SecretKey.load(keys / "galaxy.key", bytes)}
    )
    make_galaxy(stick / "one", "tools", (BASE, APP), signers, seq=1)
    make_galaxy(stick / "two", "tools", (BASE, APP, BASE_2, APP_2), signers, seq=2)
    make_galaxy(stick / "forged", "tools", (BASE, APP_2), make_signers("thief"), seq=3)
    lines = ['stick=${1:-/mnt}; export LC_ALL=C.UTF-8\nfor_status() { echo "EXIT $1 $2"; }']
    for line in filter(None, STORY.replace("DIGEST", str(Digest.of(trust.read_bytes()))).splitlines()):
        wanted, _, words = line.partition(" ")
        lines.append(f"echo '+ {words.replace(chr(39), '')}'; {words}; for_status $? {wanted}")
    (stick / "story.sh").write_text("\n".join((*lines, "echo THE-STORY-''ENDS", "")))
    return stick


def judge(console: str) -> None:
    """Demand that every command of the story ended as it should."""
    assert END in console, console
    exits = re.findall(r"EXIT (\d+) (\d+)", console)
    assert len(exits) == len(STORY.split("\n")) - 2, console
    assert [pair for pair in exits if pair[0] != pair[1]] == [], console


def conversation(words: list[str], answers: list[tuple[str, str]]) -> str:
    """Run a machine; write each answer to its console as soon as the text before it was seen. Return the console."""
    said: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as machine:
        assert machine.stdin is not None
        assert machine.stdout is not None
        number = machine.stdout.fileno()

        def listen() -> None:
            with contextlib.suppress(OSError):
                while piece := os.read(number, 4096):
                    said.put(piece.decode(errors="replace"))
            said.put("")

        threading.Thread(target=listen, daemon=True).start()
        console, deadline, waiting = "", time.monotonic() + SECONDS, list(answers)
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                piece = said.get(timeout=1)
                console += piece
                if not piece:
                    break
            if waiting and waiting[0][0] in console:
                machine.stdin.write(waiting.pop(0)[1].encode())
                machine.stdin.flush()
        machine.kill()
    return console


@pytest.mark.exhaustive
def test_a_booted_system_lives_on_a_read_only_stick(repo: Path, release: Path, tmp_path: Path) -> None:
    stick, disk = make_stick(tmp_path, repo / ".cosmos"), tmp_path / "stick.img"
    program = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    qemu = shutil.which("qemu-system-x86_64")
    assert program, "mke2fs is missing: apt-get install e2fsprogs"
    assert qemu, "qemu is missing: apt-get install qemu-system-x86"
    subprocess.run([program, "-q", "-t", "ext4", "-O", "^has_journal", "-d", stick, disk, "128M"], check=True)
    request = BootRequest(release=release, stays=True)
    bootable = bootable_of(request)
    words = qemu_arguments(qemu, bootable, request)
    before = Digest.of(disk.read_bytes())
    console = conversation(
        [*words, "-drive", f"file={disk},format=raw,if=virtio,readonly=on"],
        [
            (bootable.marker, "\nmkdir -p /mnt; mount -t ext4 -o ro /dev/vda /mnt && sh /mnt/story.sh\n"),
            (END, "\npoweroff -f\n"),
        ],
    )
    judge(console)
    assert Digest.of(disk.read_bytes()) == before


def test_the_same_story_in_a_root_of_three_stars(repo: Path, release: Path, tmp_path: Path, cosmos: Cosmos) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    image, root, home = tmp_path / "tiny", tmp_path / "root", repo / ".cosmos"
    cosmos("new", image, "--arch", "x86_64", "--galaxy", "core", home / "galaxy", "--epoch", "1767225600").ok()
    wishes = (image / "image.toml").read_text().replace("[stars]", '[stars]\nbusybox = "*"\ncosmos = "*"')
    (image / "image.toml").write_text(wishes)
    cosmos("freeze", image, "--home", home).ok()
    cosmos("build", image, "--home", home, "--keep-root", root).ok()
    assert (root / "usr/bin/cosmos").read_bytes() == (release / "cosmos").read_bytes()
    shutil.copytree(make_stick(tmp_path, home), root / "stick")
    for name in ("proc", "dev", "tmp"):
        (root / name).mkdir()
    mounts = 'mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev"'
    script = f'{mounts} && exec chroot "$1" /bin/sh /stick/story.sh /stick'
    done = subprocess.run(
        [unshare, "-Urm", "sh", "-c", script, "sh", root],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    judge(done.stdout + done.stderr)
