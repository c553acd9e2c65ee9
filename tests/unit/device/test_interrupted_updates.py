"""`update` and `uninstall` cut off at every step, or failing at every step: the system is old or new, and verifies."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cosmos.device.install import InstallRequest, install
from cosmos.device.journal import at_work, standing
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.device.uninstall import UninstallRequest, uninstall
from cosmos.device.update import UpdateRequest, update
from cosmos.device.verify import verify_system
from cosmos.errors import WorldFailed
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.names import StarName
from cosmos.model.reporter import Silent
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.power_cuts import ChangingKernel, disk_in_memory, failing, killed, power_until, steps_of

EPOCH = 1_767_225_600
CHANGED = ("etc/s/mine.conf", "etc/s/both.conf")  # by the operator, before the command

Command = Callable[[Path], None]


@pytest.fixture(autouse=True, scope="module")
def disk() -> Iterator[None]:
    with disk_in_memory():
        yield


def run_update(root: Path) -> None:
    request = UpdateRequest(wishes=(), lowering=(), offline=False, epoch=EPOCH)
    with LiveRoot.open(root, ChangingKernel()) as live:
        update(live, request, Silent(), lambda _changes: None)


def run_uninstall(root: Path) -> None:
    with LiveRoot.open(root, ChangingKernel()) as live:
        uninstall(live, UninstallRequest(stars=(StarName("s"), StarName("t"))), Silent())


COMMANDS = {"update": run_update, "uninstall": run_uninstall}


def recover(root: Path) -> None:
    """Settle what was cut off, as the next command does."""
    with LiveRoot.open(root, ChangingKernel()) as live, at_work(live):
        recover_journal(live)


def entry(path: str, kind: str, mode: int = 0o755, **other: object) -> Entry:
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **other})


@pytest.fixture
def template(galaxy, system: Path) -> Path:
    """A system with two stars of which there are newer versions, and with configuration that was changed."""
    galaxy.star(
        "s",
        "1.0.0",
        {
            "etc/s/theirs.conf": b"1",
            "etc/s/mine.conf": b"1",
            "etc/s/both.conf": b"1",
            "usr/bin/s": b"one" * 200,
            "usr/bin/alias": entry("usr/bin/alias", "hardlink", target=b"usr/bin/s"),
            "usr/bin/moves": b"m",
            "usr/share/s/old/gone": b"gone",
            "usr/share/s/same": b"same",
            "usr/lib/s": entry("usr/lib/s", "symlink", 0o777, target=b"../bin/s"),
            "usr/share/mode": entry("usr/share/mode", "dir", 0o755),
            "usr/turn/file": b"a file",
            "usr/turn/folder/inner/f": b"f",
            "usr/turn/folder/g": b"g",
            "usr/turn/link": entry("usr/turn/link", "symlink", 0o777, target=b"real"),
            "usr/turn/real": entry("usr/turn/real", "dir", 0o700),
            "usr/turn/linked/h": b"h",
        },
    )
    galaxy.star("t", "1.0.0", {"usr/bin/t": b"t", "usr/share/s/t": b"t"}, dependencies={"s": "*"})
    wishes = [Wish(who="user", name=StarName(name), constraint=ANY_VERSION) for name in ("s", "t")]
    with LiveRoot.open(system) as live:
        install(live, InstallRequest(wishes=wishes, offline=False, epoch=EPOCH), Silent())
    for name in CHANGED:
        (system / name).write_bytes(b"mine")
    galaxy.star(
        "s",
        "2.0.0",
        {
            "etc/s/theirs.conf": b"2",
            "etc/s/mine.conf": b"1",
            "etc/s/both.conf": b"2",
            "usr/bin/s": b"two" * 300,
            "usr/bin/alias": entry("usr/bin/alias", "hardlink", target=b"usr/bin/s"),
            "usr/share/s/same": b"same",
            "usr/share/new/n": b"n",
            "usr/lib/s": b"a file now",
            "usr/share/mode": entry("usr/share/mode", "dir", 0o711),
            "usr/turn/file/inner/f": b"f",
            "usr/turn/file/g": entry("usr/turn/file/g", "hardlink", 0o755, target=b"usr/turn/file/inner/f"),
            "usr/turn/folder": b"a file",
            "usr/turn/link/h": b"h",
            "usr/turn/real": entry("usr/turn/real", "dir", 0o700),
            "usr/turn/linked": entry("usr/turn/linked", "symlink", 0o777, target=b"real"),
        },
    )
    galaxy.star("t", "2.0.0", {"usr/bin/t": b"t", "usr/bin/moves": b"m2"}, dependencies={"s": "*", "n": "*"})
    galaxy.star("n", "1.0.0", {"usr/bin/n": b"n"})
    return system


@dataclass
class Rounds:
    """Makes one system after another of a template, and judges what a cut or an error left of it."""

    template: Path
    command: Command
    made: int = 0

    def __post_init__(self) -> None:
        whole = self.system()
        self.old = seen(whole)
        self.command(whole)
        self.new = seen(whole)
        assert self.old != self.new

    def system(self) -> Path:
        self.made += 1
        root = self.template.with_name(f"round-{self.made}")
        shutil.copytree(self.template, root, symlinks=True)
        link = root / "usr/bin/alias"  # a copy of a tree parts hard links
        link.unlink()
        os.link(root / "usr/bin/s", link)
        return root

    def demand_old_or_new(self, root: Path, when: str) -> bool:
        """Assert that all of `root` is old, or all of it new; return whether it is new."""
        found = seen(root)
        assert found in (self.old, self.new), when
        left = [path for path in root.rglob(".cosmos-*") if path.relative_to(root).parts[:2] != ("var", "cache")]
        assert left == [], when  # the cache sweeps its own leftovers
        with LiveRoot.open(root) as live:
            assert standing(live) == "idle", when
        shutil.rmtree(root)
        return found == self.new


def seen(root: Path) -> tuple[dict[str, tuple[int, bytes]], dict[str, str], set[str]]:
    """Return everything below `root` but cosmos's own, the stars, and the paths that `verify` names."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith(("var", "etc/cosmos")) and name != "etc":
            held = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[name] = (path.lstat().st_mode, held)
    with LiveRoot.open(root) as live:
        universe = read_universe(live)
    stars = {str(name): str(star.version) for name, star in universe.installed.items()}
    verdict = verify_system(root)
    named = {str(one.path) for one in verdict.differences}
    assert named <= set(CHANGED), verdict.differences
    return found, stars, named


@pytest.mark.slow
@pytest.mark.parametrize(
    "stride", [pytest.param(13, id="some"), pytest.param(1, id="all", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_step_all_is_old_or_all_is_new(template: Path, name: str, stride: int) -> None:
    rounds = Rounds(template, COMMANDS[name])
    root = rounds.system()
    steps = steps_of(partial(rounds.command, root))
    ended = []
    for step in range(0, steps, stride):
        root = rounds.system()
        killed(partial(rounds.command, root), step)
        recover(root)
        ended.append(rounds.demand_old_or_new(root, f"{name} killed at step {step}"))
    assert ended == sorted(ended), "there is one moment of commit"
    assert ended.count(False) > 20 // stride
    assert ended.count(True) > 10 // stride
    print(f"{name}: killed at {len(ended)} points: {ended.count(False)} old, {ended.count(True)} new, 0 torn")


@pytest.mark.slow
@pytest.mark.parametrize(
    "stride", [pytest.param(23, id="some"), pytest.param(5, id="more", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("name", COMMANDS)
def test_cut_again_while_recovering_the_next_recovery_ends_it(template: Path, name: str, stride: int) -> None:
    rounds = Rounds(template, COMMANDS[name])
    steps = steps_of(partial(rounds.command, rounds.system()))
    points = 0
    for step in range(1, steps, steps // 6):
        for second in range(step % stride, 40, stride):
            root = rounds.system()
            with power_until(step):
                rounds.command(root)
            with power_until(second):
                recover(root)
            recover(root)
            rounds.demand_old_or_new(root, f"{name} cut at step {step}, and its recovery at {second}")
            points += 1
    print(f"{name}: cut twice at {points} points, 0 torn")


def fail_at(rounds: Rounds, name: str, points: range, number: int) -> None:
    """Let the command fail at each of `points`, and demand that nothing is torn."""
    ended = []
    for step in points:
        root = rounds.system()
        failed = None
        with failing(step, number, times=1):
            try:
                rounds.command(root)
            except (WorldFailed, OSError) as error:
                failed = error
        recover(root)
        ended.append(rounds.demand_old_or_new(root, f"{name} failed at step {step}: {failed}"))
    said = f"{ended.count(False)} old, {ended.count(True)} new, 0 torn"
    print(f"{name}: {errno.errorcode[number]} at {len(points)} points: {said}")


ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", ERRORS)
def test_failing_at_some_steps_all_is_old_or_all_is_new(template: Path, name: str, number: int) -> None:
    rounds = Rounds(template, COMMANDS[name])
    steps = steps_of(partial(rounds.command, rounds.system()))
    fail_at(rounds, name, range(5 * ERRORS.index(number), steps, 5 * len(ERRORS)), number)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", ERRORS)
def test_failing_at_any_step_all_is_old_or_all_is_new(template: Path, name: str, number: int) -> None:
    rounds = Rounds(template, COMMANDS[name])
    steps = steps_of(partial(rounds.command, rounds.system()))
    fail_at(rounds, name, range(steps), number)
