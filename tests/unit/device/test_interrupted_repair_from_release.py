"""`repair --from RELEASE` killed, or with a failing disk, at every step: each path is as it was, or as released."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.device.install import recover
from cosmos.device.journal import standing
from cosmos.device.released import ReleaseAsked
from cosmos.device.repair import repair
from cosmos.device.repair_work import Repaired, RepairRequest
from cosmos.device.root import LiveRoot
from cosmos.device.verify import HowToVerify, verify_system
from cosmos.errors import CosmosError, Refused
from cosmos.model.reporter import Silent
from cosmos.pack.image_file import ImageLayer, ImageReader
from cosmos.tree.entry import Entry
from fakes.forgeries import UNIVERSE
from fakes.images import ImageFixture
from fakes.power_cuts import ChangingKernel, CutKernel, disk_in_memory, failing, killed, power_until, steps_of
from fakes.programs import Cosmos
from fakes.released_systems import MOTD, ReleasedSystem, make_release

STATE = "var/lib/cosmos/trust-state.toml"


@pytest.fixture(autouse=True, scope="module")
def disk() -> Iterator[None]:
    with disk_in_memory():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ImageFixture:
    return make_release(tmp_path_factory.mktemp("made"), counter=1)


class Spoilt:
    """A system whose template, finish script and stars were spoilt, and whose record of the template was forged."""

    kernel: type[CutKernel] = ChangingKernel

    def __init__(self, system: ReleasedSystem) -> None:
        self.system = system
        system.accept()
        self.asked = ReleaseAsked(folder=system.release)
        self.memory = (system.root / STATE).read_bytes()
        self.spoil()
        self.bad = system.tree()
        assert self.bad != system.good

    def spoil(self) -> None:
        self.system.spoil()
        self.forget()
        universe = self.system.root / UNIVERSE
        universe.write_bytes(self.system.universe.replace(b"0644 0 0 8 ", b"0666 0 0 8 "))
        assert universe.read_bytes() != self.system.universe

    def forget(self) -> None:
        """Let the system remember no release: each repair remembers it, also one that is killed later."""
        (self.system.root / STATE).write_bytes(self.memory)

    def repaired(self) -> Repaired:
        with LiveRoot.open(self.system.root, self.kernel()) as live:
            return repair(live, RepairRequest(release=self.asked, offline=True), Silent())

    def recovered(self) -> None:
        with LiveRoot.open(self.system.root, self.kernel()) as live:
            recover(live)

    def demand_settled(self, when: str) -> None:
        with LiveRoot.open(self.system.root) as live:
            assert standing(live) == "idle", when
        names = [name for _, folders, files in os.walk(self.system.root) for name in (*folders, *files)]
        assert [name for name in names if name.startswith(".cosmos-")] == [], when

    def demand_old_or_new(self, when: str) -> bool:
        """Assert that all is spoilt, or all as released, and that `verify` says so; return whether all is released."""
        self.demand_settled(when)
        tree = self.system.tree()
        assert tree in (self.bad, self.system.good), when
        is_new = tree == self.system.good
        assert ((self.system.root / UNIVERSE).read_bytes() == self.system.universe) == is_new, when
        if is_new:
            assert verify_system(self.system.root, how=HowToVerify(release=self.asked)).is_good, when
        return is_new


@pytest.fixture
def spoilt(made: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> Spoilt:
    return Spoilt(ReleasedSystem(tmp_path / "there", cosmos, made))


def test_everything_of_the_image_is_repaired_at_once(spoilt: Spoilt) -> None:
    done = spoilt.repaired()
    assert done.left == []
    assert done.records == ["the image's template"]
    assert {one.how for one in done.restored} == {"placed", "replaced", "set the attributes of"}
    assert {one.star for one in done.restored} == {
        *("base", "library"),
        *("the image's template", "the image's finish script"),
    }
    assert spoilt.demand_old_or_new("not cut off")


STEPS = [  # of a repair, at which it is cut off: every thirteenth; each in `make test-slow`
    pytest.param(13, id="some"),
    pytest.param(1, id="all", marks=pytest.mark.exhaustive),
]


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_killed_at_any_step_all_is_spoilt_or_all_is_as_released(spoilt: Spoilt, every: int) -> None:
    spoilt.kernel = CutKernel  # before each opening, too
    steps = steps_of(spoilt.repaired)
    ended = []
    spoilt.spoil()
    for step in range(0, steps, every):
        spoilt.forget()
        killed(spoilt.repaired, step)
        spoilt.recovered()
        is_new = spoilt.demand_old_or_new(f"killed at step {step}")
        if is_new:
            spoilt.spoil()
        ended.append(is_new)
    assert ended == sorted(ended), "there is one moment of commit"
    assert ended.count(False) > 100 // every
    assert ended.count(True) > 10 // every


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_the_power_goes_at_any_step_and_again_while_the_next_repair_recovers(spoilt: Spoilt, every: int) -> None:
    steps = steps_of(spoilt.repaired)
    spoilt.spoil()
    for step in range(0, steps, every):
        with power_until(step):
            spoilt.repaired()
        with power_until(step % 97):
            spoilt.repaired()
        assert spoilt.repaired().left == []
        assert spoilt.demand_old_or_new(f"cut at step {step}"), "the repair after it ends it"
        spoilt.spoil()


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
@pytest.mark.parametrize(
    ("code", "times", "first"),
    [(errno.EIO, 1, 0), (errno.ENOSPC, 0, 1)],
    ids=["EIO once", "ENOSPC from then on"],
)
def test_an_error_at_any_step_leaves_each_path_as_it_was_or_as_released(
    spoilt: Spoilt, code: int, times: int, first: int, every: int
) -> None:
    """Where it is not every step, each error comes at other steps than the other one."""
    steps = steps_of(spoilt.repaired)
    spoilt.spoil()
    for step in range(steps) if every == 1 else range(first * every, steps, 2 * every):
        when = f"{errno.errorcode[code]} at step {step}"
        with failing(step, code, times=times):
            try:
                spoilt.repaired()
            except CosmosError as error:
                assert error.exit_code in (2, 3, 4, 5), f"{when}: {error}"
        spoilt.recovered()
        spoilt.demand_settled(when)
        now, good = spoilt.system.tree(), spoilt.system.good
        for path in now.keys() | spoilt.bad.keys() | good.keys():
            assert now.get(path) in (spoilt.bad.get(path), good.get(path)), f"{when}: {path}"
        assert spoilt.repaired().left == [], when
        assert spoilt.demand_old_or_new(when), when
        spoilt.spoil()


def test_a_release_that_goes_bad_while_it_is_read_changes_nothing(
    spoilt: Spoilt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stick fails after everything was verified, when the bytes to restore are read."""
    read = ImageReader.layer_entries

    def failing_read(reader: ImageReader, layer: ImageLayer) -> list[Entry]:
        (image,) = spoilt.system.release.glob("*.tar.zst")
        data = bytearray(image.read_bytes())
        data[layer.seek.offset + layer.seek.packed_bytes // 2] ^= 1
        image.write_bytes(data)
        return read(reader, layer)

    monkeypatch.setattr(ImageReader, "layer_entries", failing_read)
    with pytest.raises(Refused, match="the index says"):
        spoilt.repaired()
    assert not spoilt.demand_old_or_new("the stick failed")
    assert (spoilt.system.root / MOTD).read_bytes() == b"evil"
