"""What `cosmos new` makes, started in QEMU with the stars of the repository: the service answers from outside, too."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.boot, pytest.mark.slow, pytest.mark.xdist_group("boot")]

COSMOS = Path(sys.executable).with_name("cosmos")
SECONDS = 900  # alone it takes 15


def free_port() -> int:
    """Return a port of this machine that no program has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def cosmos(*words: object) -> None:
    """Run a command with the home of the repository, as a person would; it must be exit 0."""
    done = subprocess.run([COSMOS, *map(str, words)], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_appliance_boots_and_its_service_answers(repo: Path, release: Path, tmp_path: Path) -> None:
    home = ("--home", repo / ".cosmos")
    cosmos("new", tmp_path / "kiosk", "--template", "appliance", "--arch", "x86_64", *home)
    cosmos("build", tmp_path / "kiosk", "--var", "hostname=kiosk-7", *home)
    port = free_port()
    words = [COSMOS, "boot", tmp_path / "kiosk/out", "--timeout", str(SECONDS), "--forward", f"{port}:80"]
    log = tmp_path / "log"
    with (
        log.open("wb") as written,
        subprocess.Popen(words, stdout=written, stderr=written, stdin=subprocess.DEVNULL) as running,
    ):
        try:
            deadline = time.monotonic() + SECONDS
            while b"COSMOS-READY" not in log.read_bytes():
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.5)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                assert b"<title>kiosk-7</title>" in answer.read()
        finally:
            running.terminate()
