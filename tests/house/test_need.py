"""`.ci/need` provides programs: it installs a missing one if it may, or else prints the exact command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

Script = Callable[[str, str], None]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A function that puts a shell script into the only folder of PATH."""
    for tool in ("sh", "env", "flock"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)

    def put(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    return put


def need(repo: Path, tmp_path: Path, *pairs: str) -> subprocess.CompletedProcess[str]:
    """Run it with a PATH that holds only the test's own scripts."""
    return subprocess.run(
        ["/bin/sh", repo / ".ci/need", *pairs], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )


def test_what_is_there_is_not_installed(repo: Path, tmp_path: Path, script: Script) -> None:
    script("there", "true")
    script("apt-get", "echo must not run; exit 9")
    script("id", "echo 0")
    answer = need(repo, tmp_path, "there=package")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_without_leave_the_exact_command_is_said_and_it_fails(repo: Path, tmp_path: Path, script: Script) -> None:
    script("id", "echo 1000")
    script("apt-get", "echo must not run; exit 9")
    answer = need(repo, tmp_path, "qemu-system-x86_64=qemu-system-x86", "bsdtar=libarchive-tools")
    assert answer.returncode == 5
    assert answer.stdout == ""
    assert answer.stderr == (
        "missing: qemu-system-x86_64 bsdtar\n"
        "install with: sudo apt-get install --no-install-recommends qemu-system-x86 libarchive-tools\n"
    )


def test_root_installs_what_is_missing_and_nothing_else(repo: Path, tmp_path: Path, script: Script) -> None:
    log = tmp_path / "log"
    script("id", "echo 0")
    script("there", "true")
    script("apt-get", f'echo "$@" >>{log}')
    answer = need(repo, tmp_path, "there=other", "bsdtar=libarchive-tools")
    assert answer.returncode == 0, answer.stderr
    assert log.read_text() == "install -qq -y --no-install-recommends libarchive-tools\n"


def test_of_two_at_once_one_waits_for_the_other(repo: Path, tmp_path: Path, script: Script) -> None:
    """`make -j` makes two targets at once, and apt-get does not wait for its own lock."""
    log = tmp_path / "log"
    (tmp_path / "sleep").symlink_to(shutil.which("sleep") or "sleep")
    script("id", "echo 0")
    script("apt-get", f"echo begin >>{log}; sleep 0.5; echo end >>{log}")
    with ThreadPoolExecutor() as pool:
        answers = [*pool.map(lambda pair: need(repo, tmp_path, pair), ("bsdtar=libarchive-tools", "zstd=zstd"))]
    assert [answer.returncode for answer in answers] == [0, 0]
    assert log.read_text().split() == ["begin", "end"] * 2


def test_a_first_attempt_that_fails_is_made_again_with_fresh_lists(repo: Path, tmp_path: Path, script: Script) -> None:
    log = tmp_path / "log"
    script("id", "echo 0")
    script(
        "apt-get", f'echo "$1" >>{log}; [ "$1" = update ] && exit 0; [ -e {log}.once ] || {{ : >{log}.once; exit 1; }}'
    )
    answer = need(repo, tmp_path, "bsdtar=libarchive-tools")
    assert answer.returncode == 0, answer.stderr
    assert log.read_text().split() == ["install", "update", "install"]


def test_a_module_that_python_lacks_is_asked_for_as_its_package(repo: Path, tmp_path: Path, script: Script) -> None:
    script("id", "echo 1000")
    script("python3", '[ "$2" = "import json" ]')
    answer = need(repo, tmp_path, "import:json=none", "import:ensurepip=python3-venv", "bsdtar=libarchive-tools")
    assert answer.returncode == 5
    assert answer.stderr == (
        "missing: ensurepip bsdtar\n"
        "install with: sudo apt-get install --no-install-recommends python3-venv libarchive-tools\n"
    )


def test_where_nothing_can_be_installed_the_exact_command_is_the_last_line(
    repo: Path, tmp_path: Path, script: Script
) -> None:
    script("id", "echo 0")
    script("apt-get", 'echo "E: no network" >&2; exit 100')
    answer = need(repo, tmp_path, "bsdtar=libarchive-tools", "gpg-agent=gpg-agent")
    assert answer.returncode == 5
    last = "install with: sudo apt-get install --no-install-recommends libarchive-tools gpg-agent"
    assert answer.stderr.splitlines()[-1] == last


def test_sudo_is_used_only_where_it_asks_nothing(repo: Path, tmp_path: Path, script: Script) -> None:
    script("id", "echo 1000")
    script("sudo", "exit 1")
    script("apt-get", "echo must not run; exit 9")
    assert need(repo, tmp_path, "bsdtar=libarchive-tools").returncode == 5
    script("sudo", 'shift; [ "$1" = true ] && exit 0; exec "$@"')
    script("apt-get", "exit 0")
    script("true", "exit 0")
    assert need(repo, tmp_path, "bsdtar=libarchive-tools").returncode == 0
