"""docs/your-own-appliance.md: every command on it works as it is written, in its order, on a terminal.

The stars are small, and QEMU and ssh are scripts. `tests/boot/test_boots_appliance.py` boots the same image.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from cosmos.image.scaffolds import SCAFFOLDS
from fakes.clones import make_clone
from fakes.programs import write_programs

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
QEMU = '#!/bin/sh\necho "$@" >>qemu\necho COSMOS-READY\n'
SSH = '#!/bin/sh\necho "$@" >ssh\n'


@pytest.mark.slow
def test_the_page_works_as_it_is_written(repo: Path, tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    blocks = BLOCK.findall((repo / "docs/your-own-appliance.md").read_text())
    assert len(blocks) == 8
    folder = write_programs(clone / "bin")
    for name, text in (("qemu-system-x86_64", QEMU), ("ssh", SSH)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (clone / "page.sh").write_text("set -eu\n" + "".join(f"echo '== block'\n{block}" for block in blocks))
    ours, its = pty.openpty()
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(clone), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    with subprocess.Popen(["sh", "page.sh"], cwd=clone, env=environ, stdin=its, stdout=its, stderr=its) as running:
        os.close(its)
        shown = b""
        while piece := _read(ours):
            shown += piece
    text = shown.decode().replace("\r", "")
    assert running.returncode == 0, text
    assert "kiosk/out: booted, and said COSMOS-READY" in text
    assert "<h1>Hello from kiosk</h1>" in text
    assert "address='192.168.1.18/24 via 192.168.1.1'" in text
    assert "\nkiosk-7\n" in text
    assert (clone / "kiosk-de/out/RELEASE.json").is_file()
    started = (clone / "qemu").read_text().splitlines()
    assert len(started) == 4
    assert "hostfwd=tcp:127.0.0.1:8080-:80" in started[1]
    assert "mon:stdio" in started[3]
    assert "root@127.0.0.1" in (clone / "ssh").read_text()


def _read(number: int) -> bytes:
    """Return what was written to the terminal; nothing when nobody has it any more."""
    try:
        return os.read(number, 1 << 16)
    except OSError:
        return b""


def test_the_page_names_files_that_are_made(repo: Path) -> None:
    page = (repo / "docs/your-own-appliance.md").read_text()
    named = set(re.findall(r"^\| `(template/[^`]+)` \|", page, re.MULTILINE))
    assert len(named) == 5
    assert named <= {f"template/{path}" for path in SCAFFOLDS["appliance"].files}
