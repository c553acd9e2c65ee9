"""Every command that changes a system, cut off and disturbed wherever it changes the disk: all is old, or all is new.

Each command is recorded once, call by call (`fakes.crash_states`). From the record come the states in which a kill or a
power cut can leave the disk: what was not synced is lost in any order, or by half. In each state a plain user goes on:
`status` answers, the system is the old or the new one, `verify` says of it what it said before or after, and the same
command again leaves the new one. The same is asked after a call that failed with ENOSPC, EIO or EROFS.

`make test-torture` takes every state and every call, `make test` a part of them. Both print how many, and how many of
them were torn.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.device.journal import at_work, standing
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import JOURNAL_PATH
from cosmos.digest import Digest
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.crash_states import Names, Record, State, failing_at, no_waiting, recorded
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_home, make_signers, write_index, write_spec
from fakes.growing_galaxies import carry
from fakes.images import make_image
from fakes.programs import Cosmos, Outcome

SEED = 13
SOME_STATES, SOME_AGAIN, SOME_ERRORS = 5, 2, 3  # of each command in `make test`
CUT_TWICE = 4  # states of each command in which it is cut off once more


def entry(path: str, kind: str, mode: int = 0o755, **other: object) -> Entry:
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **other})


STARS = (
    StarSpec(
        "zlib",
        "1.3.1",
        {
            "usr/lib/libz.so.1": b"z" * 3000,
            "usr/lib/zlib/link": entry("usr/lib/zlib/link", "symlink", 0o777, target=b"../libz.so.1"),
        },
    ),
    StarSpec(
        "tool",
        "2.0.0",
        {"usr/bin/tool": b"tool", "etc/tool.conf": b"a = 1\n", "usr/share/old/gone": b"gone"}
        | {"usr/turn/file": b"file", "usr/turn/folder/in/f": b"f"}
        | {"usr/turn/link": entry("usr/turn/link", "symlink", 0o777, target=b"../share")},
        {"zlib": "^1.3"},
    ),
    StarSpec("left", "1.0.0", {"usr/bin/left": b"left"}),
    StarSpec(
        "editor",
        "6.2.0",
        {"usr/bin/ed": b"ed", "usr/bin/vi": entry("usr/bin/vi", "hardlink", target=b"usr/bin/ed")},
        {"left": "*"},
    ),
)
NEWER = StarSpec(
    "tool",
    "2.1.0",
    {"usr/bin/tool": b"tool 2.1", "etc/tool.conf": b"a = 2\n", "usr/share/new": entry("usr/share/new", "dir", 0o711)}
    | {"usr/turn/file/in/f": b"f", "usr/turn/link/f": b"f", "usr/turn/folder": b"file"},
    {"zlib": "^1.3"},
)
LATER = (*STARS, NEWER)

MARKER = ".cosmos-bootstrap"  # of a bootstrap that is not complete; its lock's name begins so, too
TEMPORARY = re.compile(r"\.cosmos-.*\.tmp")  # directly in the root: the bootstrap that goes on removes it
# What a command writes besides its one transaction, each file by itself: old or new, in one step.
BY_ITSELF = ("etc/cosmos/", "var/lib/cosmos/trust-state.toml", "var/lib/cosmos/universe.toml.damaged")
FOLDERS = ("etc", "etc/cosmos", "etc/cosmos/chain", "var", "var/lib", "var/lib/cosmos", "var/cache")
NOT_JUDGED = ("var/cache/", "var/lib/cosmos/lock", MARKER)


@dataclass(frozen=True)
class Seen:
    """What a system is: its entries, and the documents that are written each by itself."""

    entries: dict[str, tuple[object, ...]]
    documents: dict[str, bytes]


class World:
    """A galaxy with two states, an image, and systems that were made from it."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.where, self.cosmos, self.signers = where, cosmos, make_signers()
        self.galaxy: GalaxyFixture = make_galaxy(where / "galaxy", "core", (), self.signers)
        self.rows = {spec.name + spec.version: write_spec(self.galaxy, spec) for spec in LATER}
        self.publish(STARS, 1)

    def publish(self, stars: Sequence[StarSpec], seq: int) -> None:
        """Let the galaxy list these stars; what was published before stays as it is."""
        write_index(self.galaxy, [self.rows[spec.name + spec.version] for spec in stars], seq=seq)

    def fresh(self) -> Path:
        """Return a path for a new disk. The same one again: paths must not differ from disk to disk."""
        disk = self.where / "disk"
        if disk.exists():
            shutil.rmtree(disk)
        return disk

    def system(self, disk: Path) -> None:
        """Make a system with an older `tool`, and an orphan."""
        root = disk / "root"
        root.mkdir(parents=True)
        trust = self.signers.write_trust(self.where / "trust.toml")
        self.cosmos("init", "--root", root, "--arch", "x86_64").ok()
        self.cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
        self.cosmos("add-galaxy", "core", self.galaxy.path, "--root", root).ok()
        self.cosmos("install", "tool", "editor", "--root", root).ok()
        self.cosmos("uninstall", "editor", "--root", root).ok()
        self.publish(LATER, 2)


Prepare = Callable[[World, Path], None]


def nothing(world: World, disk: Path) -> None:
    """A system as it is."""


def bare(world: World, disk: Path) -> None:
    shutil.rmtree(disk / "root")
    (disk / "root").mkdir()


def gone(world: World, disk: Path) -> None:
    shutil.rmtree(disk / "root")


def damaged(world: World, disk: Path) -> None:
    lib = disk / "root/usr/lib"
    (lib / "libz.so.1").write_bytes(b"damaged")
    (lib / "zlib/link").unlink()
    (disk / "root/usr/bin/tool").chmod(0o600)


def without_universe(world: World, disk: Path) -> None:
    (disk / "root/var/lib/cosmos/universe.toml").unlink()


def damaged_universe(world: World, disk: Path) -> None:
    (disk / "root/var/lib/cosmos/universe.toml").write_bytes(b"damaged")


def newer_trust(world: World, disk: Path) -> None:
    roots = world.signers.roots()
    for version in (2, 3):
        carry(world.where, replace(roots, version=version), world.signers)


def crowded_cache(world: World, disk: Path) -> None:
    world.cosmos("sync", "--full", "--root", disk / "root").ok()
    world.publish((*STARS[:3], NEWER), 3)
    world.cosmos("uninstall", "tool", "--root", disk / "root").ok()


def vendored(world: World, disk: Path) -> None:
    """An image on a stick, and no system yet."""
    gone(world, disk)
    image = make_image(world.where / "there", STARS, {"tool": "*", "editor": "*"}, signers=world.signers)
    world.cosmos("freeze", image.folder, "--home", image.home).ok()
    world.cosmos("vendor", image.folder, world.where / "stick", "--home", image.home).ok()
    make_home(world.where / "home", world.signers)


@dataclass(frozen=True)
class Case:
    """A command, and the system that it meets. `words` may name the folder of the world and the root."""

    words: str
    prepare: Prepare = nothing


CASES = {
    "install": Case("install editor --yes --offline"),
    "update": Case("update --all --yes --offline"),
    "uninstall": Case("uninstall tool"),
    "autoremove": Case("autoremove"),
    "repair": Case("repair --offline", damaged),
    "repair --universe": Case("repair --universe --yes --arch x86_64 --offline", without_universe),
    "repair --universe (damaged)": Case("repair --universe --yes --arch x86_64 --offline", damaged_universe),
    "bootstrap": Case(
        "bootstrap --lock {where}/stick/image/universe.lock.toml --galaxy {where}/stick --home {where}/home", vendored
    ),
    "sync": Case("sync"),
    "sync --full": Case("sync --full"),
    "sync --prune": Case("sync --prune", crowded_cache),
    "trust update": Case("trust update {where}/trust", newer_trust),
    "freeze": Case("freeze --offline"),
    "init": Case("init --arch x86_64", bare),
}


TWICE = ("install", "update", "uninstall", "repair", "bootstrap", "trust update")


def seen(disk: Path) -> Seen:
    """Return what the system on this disk is."""
    root = disk / "root"
    entries: dict[str, tuple[object, ...]] = {}
    documents: dict[str, bytes] = {}
    if (root / MARKER).exists() and stat.S_IMODE(root.stat().st_mode) == 0o700:
        return Seen({}, {})  # an unfinished system, which nobody else may enter
    for place in sorted(root.rglob("*")) if root.exists() else ():
        name = str(place.relative_to(root))
        if name.startswith(NOT_JUDGED) or name in FOLDERS or TEMPORARY.fullmatch(name):
            continue
        held = place.lstat()
        data = os.fsencode(place.readlink()) if place.is_symlink() else place.read_bytes() if place.is_file() else b""
        if name.startswith(BY_ITSELF):
            documents[name] = data
        else:
            entries[name] = (oct(held.st_mode), held.st_nlink if place.is_file() else 0, data)
    if root.exists() and entries:
        entries["."] = (oct(root.stat().st_mode),)
    return Seen(entries, documents)


def blobs(disk: Path) -> set[str]:
    """Return the names of all blobs in the cache; asserts that each has the digest that it is named for."""
    found = set()
    for place in sorted((disk / "root/var/cache/cosmos/blobs").rglob("*")):
        if place.is_file():
            assert Digest.of(place.read_bytes()).hex == place.name, f"a blob is torn: {place.name}"
            found.add(place.name)
    return found


@dataclass
class Torture:
    """One command on one system: its old and new state, and what was found out."""

    name: str
    world: World
    start: State = field(init=False)
    points: int = 0
    torn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        disk = self.world.fresh()
        self.world.system(disk)
        CASES[self.name].prepare(self.world, disk)
        disk.mkdir(exist_ok=True)
        self.start = Record(disk).after_all()
        self.old, self.was = seen(disk), self._verify(disk)
        self.record = self.recorded(self.start)
        self.new, self.became, self.kept = seen(disk), self._verify(disk), blobs(disk)
        self.after = self._run(disk).code
        assert seen(disk) == self.new, "the command once more changes something"

    def recorded(self, start: State, codes: tuple[int, ...] = (0,)) -> Record:
        """Carry the command out on a disk in state `start`, and return the record."""
        disk = self.world.fresh()
        start.write(disk)
        with recorded(disk) as record:
            assert self._run(disk).code in codes
        left = Record(disk).after_all()
        assert _without_times(left).digest == _without_times(record.after_all()).digest, "a change was missed"
        return record

    def judge(self, how: str, prepare: Callable[[Path], None]) -> None:
        """Judge one state, which `prepare` makes."""
        disk = self.world.fresh()
        self.points += 1
        with no_waiting():
            try:
                prepare(disk)
                self._judge(disk)
            except Exception as error:
                self.torn.append(
                    f"{self.name}: {how}: {type(error).__name__}: {str(error).partition(chr(10))[0][:600]}"
                )

    def _judge(self, disk: Path) -> None:
        status = self._status(disk)
        settle(disk / "root")
        found, verdict = seen(disk), self._verify(disk)
        is_new = found.entries == self.new.entries and self.new.entries != self.old.entries
        assert found.entries in (self.old.entries, self.new.entries), different(found, self.old, self.new)
        for name, data in found.documents.items():
            assert data in (self.old.documents.get(name), self.new.documents.get(name)), f"{name} is torn: {data!r}"
        for name in self.old.documents:
            assert name in found.documents or name not in self.new.documents, f"{name} is lost"
        assert verdict == (self.became if is_new else self.was) or verdict == self.became, verdict
        assert status.code in (0, 2 if self.was.code == 2 else 0), status.err
        blobs(disk)
        again = self._run(disk)
        assert again.code in ((0, self.after) if is_new or self.old.entries == self.new.entries else (0,)), again.err
        assert seen(disk) == self.new, different(seen(disk), self.old, self.new)
        assert blobs(disk) >= self.kept
        if "--prune" in self.name:
            assert blobs(disk) == self.kept
        left = [
            str(one)
            for one in (disk / "root").rglob(".cosmos-*")
            if "/var/cache/" not in str(one) and one.name != ".cosmos-bootstrap.lock"
        ]
        assert left == []

    def _run(self, disk: Path) -> Outcome:
        words = CASES[self.name].words.format(where=self.world.where).split()
        return self.world.cosmos(*words, "--root", disk / "root")

    def _status(self, disk: Path) -> Outcome:
        return self.world.cosmos("status", "--root", disk / "root")

    def _verify(self, disk: Path) -> Outcome:
        """Return what `verify` says of a system; of a folder without a system, only that."""
        said = self.world.cosmos("verify", "--root", disk / "root")
        return replace(said, err="") if said.code == 2 else said

    def said(self, what: str) -> None:
        """Print the row of the table, and fail if anything was torn."""
        print(f"torture: {self.name:28} {what:22} {self.points:6} points {len(self.torn):4} torn")
        assert not self.torn, "\n".join(self.torn[:10])


def _without_times(state: State) -> State:
    nodes = {
        number: replace(node, attributes={name: value for name, value in node.attributes.items() if name != "time"})
        for number, node in state.nodes.items()
    }
    return replace(state, nodes=nodes)


def settle(root: Path) -> None:
    """Settle what was cut off, as the next command does that changes something."""
    if (root / "var/lib/cosmos").is_dir() and not (root / ".cosmos-bootstrap").exists():
        with LiveRoot.open(root) as live, at_work(live):
            recover_journal(live)
            assert standing(live) == "idle"


def different(found: Seen, old: Seen, new: Seen) -> str:
    """Return how a state differs from both."""
    rows = []
    for name in sorted(found.entries.keys() | old.entries.keys() | new.entries.keys()):
        one = found.entries.get(name), old.entries.get(name), new.entries.get(name)
        if one[0] != one[1] or one[0] != one[2]:
            rows.append(f"{name}: {_short(one[0])}; old {_short(one[1])}; new {_short(one[2])}")
    rows += [
        f"{name} differs from the new"
        for name in found.documents.keys() | new.documents.keys()
        if found.documents.get(name) != new.documents.get(name)
    ]
    return " | ".join(rows)


def _short(entry: Any) -> str:
    return repr(entry)[:60]


@pytest.fixture
def world(tmp_path: Path, cosmos: Cosmos) -> World:
    return World(tmp_path, cosmos)


AMOUNTS = [pytest.param(False, id="some"), pytest.param(True, id="all", marks=pytest.mark.exhaustive)]


def some(everything: list[Any], number: int) -> list[Any]:
    """Return `number` of the things, evenly, with a start that differs from command to command."""
    stride = max(1, len(everything) // number)
    return everything[stride // 2 :: stride][:number]


def states_of(record: Record, number: int | None) -> Iterator[State]:
    """Return every state of the record, or `number` of them: only these are made."""
    if number is None:
        return record.states(seed=SEED)
    return map(record.state, some(list(record.recipes(seed=SEED)), number))


@pytest.mark.slow
@pytest.mark.parametrize("is_all", AMOUNTS)
@pytest.mark.parametrize("name", CASES)
def test_killed_or_without_power_anywhere_the_system_is_old_or_new(world: World, name: str, is_all: bool) -> None:
    torture = Torture(name, world)
    for state in states_of(torture.record, None if is_all else SOME_STATES):
        torture.judge(state.how, state.write)
    torture.said("killed, or power cut")


@pytest.mark.slow
@pytest.mark.parametrize("is_all", AMOUNTS)
@pytest.mark.parametrize("name", TWICE)
def test_cut_off_again_while_the_next_command_recovers_the_system_is_old_or_new(
    world: World, name: str, is_all: bool
) -> None:
    torture = Torture(name, world)
    for first in states_of(torture.record, CUT_TWICE if is_all else 1):
        second = torture.recorded(first, (0, torture.after))
        for state in states_of(second, None if is_all else SOME_AGAIN):
            torture.judge(f"{first.how}; then {state.how}", state.write)
    torture.said("cut off twice")


@pytest.mark.slow
@pytest.mark.parametrize("is_all", AMOUNTS)
@pytest.mark.parametrize("name", CASES)
def test_failing_at_any_call_that_changes_the_disk_the_system_is_old_or_new(
    world: World, name: str, is_all: bool
) -> None:
    torture = Torture(name, world)
    disk = world.fresh()
    torture.start.write(disk)
    with failing_at(disk, 0, 0, goes_on=False) as calls:
        torture._run(disk).ok()
    kinds = [(errno.EIO, False), (errno.ENOSPC, True), (errno.EROFS, True)]
    points = [(number, *kind) for kind in kinds for number in range(1, calls() + 1)]
    for number, code, goes_on in points if is_all else some(points, SOME_ERRORS):

        def fail(disk: Path, number: int = number, code: int = code, goes_on: bool = goes_on) -> None:
            torture.start.write(disk)
            with failing_at(disk, number, code, goes_on=goes_on):
                assert torture._run(disk).code in (0, 2, 5)

        torture.judge(f"{errno.errorcode[code]} at call {number}", fail)
    torture.said("ENOSPC, EIO, EROFS")


def test_a_journal_that_was_settled_does_not_come_back(world: World) -> None:
    """It would be undone or finished once more, over what people have done since."""
    loose = Torture("uninstall", world).record.loose_at_the_end()
    assert [str(step) for step in loose if isinstance(step, Names) and JOURNAL_PATH.name.decode() in step.now] == []
