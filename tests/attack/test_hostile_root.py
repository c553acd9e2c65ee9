"""Attack by attack with a root whose folders and files are links to the host: no command leaves the root.

Every command runs on every hostile root: of each place, with an absolute link, and of some with one of another kind;
with all four in `make test-slow`. Three watchers look on: a folder of the host, compared before and after; an
audit hook, to which Python reports each path that it gives to the kernel; and `strace`, where it is installed, which
sees the kernel's own answer, the real path behind each descriptor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.hostile_roots import FILES, FOLDERS, KINDS, Host, a_system
from fakes.http_servers import serving
from fakes.programs import REPO, Cosmos

OTHERS = (*KINDS[1:], *[None] * 5)
PLACES = [  # each place with an absolute link, and three of eight with one of the other kinds in turn
    pytest.param(
        name,
        kind,
        id=f"{name}-{kind}",
        marks=() if kind in ("absolute", OTHERS[place % len(OTHERS)]) else pytest.mark.exhaustive,
    )
    for place, name in enumerate((*FOLDERS, *FILES))
    for kind in KINDS
]
ENDINGS = {0, 2, 3, 4, 5, 6, 7}
NOT_INSIDE = {
    "etc/cosmos/near",
    "tmp",
    "usr/lib",
}  # not the galaxy; a circle, as roots are in /tmp; not in /usr any more
CHANGES = re.compile(
    r"^(?:mkdir|mknod|unlink|rmdir|rename|link|symlink|chmod|fchmodat|chown|lchown|fchownat|truncate|utime|futimesat|"
    r"setxattr|lsetxattr|removexattr|lremovexattr|mount|chroot|open\(.*O_(?:WRONLY|RDWR|CREAT))"
)
OPENED = re.compile(r" = \d+<(/[^>]*)>")


class Hook:
    """Remembers what absolute paths Python gave to the kernel. Python's audit hooks stay for good, so there is one."""

    def __init__(self) -> None:
        self.paths: set[tuple[str, str]] | None = None
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is None or event in ("import", "compile", "exec"):
            return
        for one in arguments:
            path = os.fsdecode(one) if isinstance(one, str | bytes | os.PathLike) else ""
            if path.startswith("/"):
                self.paths.add((event, path))


HOOK = Hook()


@pytest.fixture
def heard() -> Iterator[set[tuple[str, str]]]:
    HOOK.paths = set()
    yield HOOK.paths
    HOOK.paths = None


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host.make(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def mirror(host: Host) -> Iterator[str]:
    with serving(host.galaxy) as address:
        yield address


@pytest.mark.objective("SO-18")
@pytest.mark.parametrize(("name", "kind"), PLACES)
def test_no_command_leaves_a_root_whose_links_lead_to_the_host(
    tmp_path: Path, host: Host, mirror: str, cosmos: Cosmos, heard: set[tuple[str, str]], name: str, kind: str
) -> None:
    root, before = tmp_path / "root", host.seen()
    a_system(host, root)
    host.link(root, name, kind)
    ended = {}
    for words in host.commands(root, mirror):
        heard.clear()
        said = cosmos(*words)
        ended[" ".join(words)] = said.code
        assert said.code in ENDINGS, f"{words}: {said.err}"
        assert "of the host" not in said.out + said.err
        strays = [row for row in heard if row[1].startswith((f"{root}/", str(host.outside)))]
        assert strays == [], f"{words[0]} names paths that a link can lead astray"
    assert host.seen() == before
    if name in FOLDERS and kind in ("absolute", "relative") and name not in NOT_INSIDE:
        ended.popitem()  # `install` alone: there is nothing to clear up
        assert set(ended.values()) == {0}, ended  # inside, as after chroot


@pytest.mark.parametrize("names", [FOLDERS[:1], FOLDERS[7:8], FOLDERS[1:3], FOLDERS[9:12], FOLDERS[12:], FILES])
def test_the_kernel_sees_no_command_leave_its_root(tmp_path: Path, host: Host, mirror: str, names: list[str]) -> None:
    """Nothing outside is changed, and only what the command line names, and what Python needs, is opened."""
    if shutil.which("strace") is None:
        pytest.skip("no strace is installed: apt-get install strace")
    root, log = tmp_path / "root", tmp_path / "log"
    a_system(host, root)
    for name in names:
        host.link(root, name, "absolute")
    commands = tmp_path / "commands.json"
    commands.write_text(json.dumps(host.commands(root, mirror)))
    driver = [sys.executable, "-B", str(REPO / "tests/fakes/hostile_roots.py"), str(commands)]
    traced = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", "trace=%file,openat2", "-o", str(log), *driver]
    path = f"{REPO / 'builder'}:{REPO / 'tests'}"
    (tmp_path / "temporary").mkdir()
    environ = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(traced, check=False, capture_output=True, text=True, env=environ, timeout=300)
    endings = [int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("ended ")]
    assert len(endings) == len(host.commands(root, mirror)), done.stderr
    assert set(endings) <= ENDINGS, done.stderr
    calls = [line.partition(" ")[2].lstrip() for line in log.read_text().splitlines()]
    assert any(call.startswith("openat2(") for call in calls), "the tracer saw nothing"
    opened = {found for call in calls for found in OPENED.findall(call)}
    assert [one for one in sorted(opened) if one.startswith(str(host.outside))] == []
    named = [call for call in calls if f'"{host.outside}' in call or f'"{root}/' in call]
    assert [call for call in named if not call.startswith("readlink")] == []
    for call in calls:
        if CHANGES.match(call) or (call.startswith("openat(") and re.search(r"O_(?:WRONLY|RDWR|CREAT)", call)):
            assert_inside(call, (str(root), str(tmp_path / "temporary"), "/dev/", "/proc/self/fd"))


def assert_inside(call: str, folders: tuple[str, ...]) -> None:
    """Assert that a call which changes something names one component below a descriptor in one of `folders`."""
    for descriptor, name in re.findall(r'(AT_FDCWD<[^>]*>|\d+<[^>]*>|), ?"([^"]*)"', call.replace("(", "(, ", 1)):
        if name.startswith("/"):
            assert name.startswith(folders[1:]), call
        elif descriptor and "AT_FDCWD" not in descriptor:
            assert "/" not in name, call
            assert descriptor.partition("<")[2].startswith(folders), call
