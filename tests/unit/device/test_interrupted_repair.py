"""`repair` killed, or with a failing disk, at every step: each path is as it was or as it was signed, and no other."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cosmos.device.install import InstallRequest, install, recover
from cosmos.device.journal import standing
from cosmos.device.repair import repair
from cosmos.device.repair_work import Repaired, RepairRequest
from cosmos.device.root import LiveRoot
from cosmos.device.verify import verify_system
from cosmos.errors import CosmosError
from cosmos.model.constraint import Constraint
from cosmos.model.names import StarName
from cosmos.model.reporter import Silent
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.power_cuts import CutKernel, disk_in_memory, failing, killed, power_until, steps_of

EPOCH = 1_700_000_000


@pytest.fixture(autouse=True, scope="module")
def disk() -> Iterator[None]:
    with disk_in_memory():
        yield


def own(path: str, kind: str = "file", mode: int = 0o644, **other: object) -> Entry:
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **other})


class Spoilt:
    """A system with two stars, and the harm that is done to it: every change of a repair is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        request = InstallRequest(
            wishes=[Wish(who="user", name=StarName("s"), constraint=Constraint.parse("*"))], offline=True, epoch=EPOCH
        )
        with LiveRoot.open(root) as live:
            install(live, request, Silent())
        self.universe = (root / str(UNIVERSE_PATH)).read_bytes()
        self.good = self.tree()
        self.spoil()
        self.bad = self.tree()
        assert self.bad != self.good

    def spoil(self) -> None:
        lib = self.root / "usr/lib/s"
        (lib / "bytes").write_bytes(b"evil")
        (lib / "gone").unlink()
        (lib / "mode").chmod(0o666)
        (lib / "link").unlink()
        (lib / "link").symlink_to("evil")
        (self.root / "usr/lib/base/in/b").unlink()
        (self.root / "usr/lib/base/in").rmdir()
        universe = self.root / str(UNIVERSE_PATH)
        universe.write_bytes(self.universe.replace(b"0644 0 0 4 ", b"0666 0 0 4 "))
        assert universe.read_bytes() != self.universe

    def tree(self) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted((self.root / "usr").rglob("*")):
            held = path.lstat()
            body = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[str(path.relative_to(self.root))] = (stat.S_IFMT(held.st_mode), held.st_mode, body)
        return found

    def demand_settled(self, when: str) -> None:
        with LiveRoot.open(self.root) as live:
            assert standing(live) == "idle", when
        names = [name for _, folders, files in os.walk(self.root) for name in (*folders, *files)]
        assert [name for name in names if name.startswith(".cosmos-")] == [], when

    def demand_old_or_new(self, when: str) -> bool:
        """Assert that all is spoilt, or all as signed, and that `verify` says so; return whether all is as signed."""
        self.demand_settled(when)
        tree = self.tree()
        assert tree in (self.bad, self.good), when
        is_new = tree == self.good
        assert ((self.root / str(UNIVERSE_PATH)).read_bytes() == self.universe) == is_new, when
        return is_new


def repaired(root: Path) -> Repaired:
    with LiveRoot.open(root, CutKernel()) as live:
        return repair(live, RepairRequest(offline=True, epoch=EPOCH), Silent())


def recovered(root: Path) -> None:
    with LiveRoot.open(root, CutKernel()) as live:
        recover(live)


@pytest.fixture
def spoilt(galaxy, system: Path) -> Spoilt:
    galaxy.star("base", files={"usr/lib/base/in/b": b"b" * 3000})
    galaxy.star(
        "s",
        files={
            "usr/lib/s/bytes": b"s" * 3000,
            "usr/lib/s/also": own("usr/lib/s/also", "hardlink", 0o755, target=b"usr/lib/s/bytes"),
            "usr/lib/s/gone": b"g",
            "usr/lib/s/mode": own("usr/lib/s/mode", content=b"mode"),
            "usr/lib/s/link": own("usr/lib/s/link", "symlink", 0o777, target=b"bytes"),
        },
        dependencies={"base": "*"},
    )
    return Spoilt(system)


def test_everything_is_repaired_at_once(spoilt: Spoilt) -> None:
    done = repaired(spoilt.root)
    assert done.left == []
    assert done.records == ["s"]
    assert {one.how for one in done.restored} == {"placed", "replaced", "set the attributes of"}
    assert spoilt.demand_old_or_new("not cut off")
    assert verify_system(spoilt.root).is_good


STEPS = [  # of a repair, at which it is cut off: every thirteenth; each in `make test-slow`
    pytest.param(13, id="some"),
    pytest.param(1, id="all", marks=pytest.mark.exhaustive),
]


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_killed_at_any_step_all_is_spoilt_or_all_is_as_signed(spoilt: Spoilt, every: int) -> None:
    steps = steps_of(partial(repaired, spoilt.root))
    ended = []
    spoilt.spoil()
    for step in range(0, steps, every):
        killed(partial(repaired, spoilt.root), step)
        recovered(spoilt.root)
        is_new = spoilt.demand_old_or_new(f"killed at step {step}")
        if is_new:
            assert verify_system(spoilt.root).is_good
            spoilt.spoil()
        ended.append(is_new)
    assert ended == sorted(ended), "there is one moment of commit"
    assert ended.count(False) > 100 // every
    assert ended.count(True) > 10 // every


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_the_power_goes_at_any_step_and_again_while_the_next_repair_recovers(spoilt: Spoilt, every: int) -> None:
    steps = steps_of(partial(repaired, spoilt.root))
    spoilt.spoil()
    for step in range(0, steps, every):
        with power_until(step):
            repaired(spoilt.root)
        with power_until(step % 97):
            repaired(spoilt.root)
        assert repaired(spoilt.root).left == []
        assert spoilt.demand_old_or_new(f"cut at step {step}"), "the repair after it ends it"
        spoilt.spoil()


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
@pytest.mark.parametrize(
    ("code", "times", "first"),
    [(errno.EIO, 1, 0), (errno.ENOSPC, 0, 1), (errno.EROFS, 0, 2)],
    ids=["EIO once", "ENOSPC from then on", "EROFS from then on"],
)
def test_an_error_at_any_step_leaves_each_path_as_it_was_or_as_signed(
    spoilt: Spoilt, code: int, times: int, first: int, every: int
) -> None:
    """Where it is not every step, each error comes at other steps than the two others."""
    steps = steps_of(partial(repaired, spoilt.root))
    spoilt.spoil()
    for step in range(steps) if every == 1 else range(first * every, steps, 3 * every):
        when = f"{errno.errorcode[code]} at step {step}"
        with failing(step, code, times=times):
            try:
                repaired(spoilt.root)
            except CosmosError as error:
                assert error.exit_code in (2, 3, 4, 5), f"{when}: {error}"
        recovered(spoilt.root)
        spoilt.demand_settled(when)
        now = spoilt.tree()
        for path in now.keys() | spoilt.bad.keys() | spoilt.good.keys():
            assert now.get(path) in (spoilt.bad.get(path), spoilt.good.get(path)), f"{when}: {path}"
        assert repaired(spoilt.root).left == [], when
        assert spoilt.demand_old_or_new(when), when
        spoilt.spoil()
