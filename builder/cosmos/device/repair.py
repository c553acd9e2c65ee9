"""Restore what `verify` finds bad, from signed archives: kind, bytes, targets, numbers, modes, owners, attributes.

    examine     each star, and each layer of the image, is compared with what was signed (device.examination)
    judge       a star with something bad must have what the system's policy demands of every star (device.vouching)
    plan        each bad entry gets one change: place, replace, or set attributes; a lying record gets the true one
    carry out   all changes are one transaction (device.transaction)

What a star's record claims is never restored. A star stays as it is if neither its signed archive is at hand nor the
release that made the system, and so does one that is not trusted now. The image's own layers are restored from the
release (device.released). Configuration with other bytes stays, unless the operator asks for it. A path is restored
where it was installed, and no link is followed to it: an entry whose folder has become a link stays as it is. So does
an entry in whose place a folder lies, and a folder in whose place something else lies: removing that could destroy
what a person needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cosmos.device.examination import RELEASE_HINT
from cosmos.device.galaxies import open_galaxies, remember_opened, remember_shown
from cosmos.device.journal import at_work, journal, looking
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.rebuilt_from_release import with_release
from cosmos.device.rebuilt_universe import RebuiltUniverse, demand_unreadable, rebuilt_universe, write_rebuilt
from cosmos.device.recovery import recover_journal
from cosmos.device.released import ReleaseAsked, open_any_release
from cosmos.device.repair_work import Repaired, RepairRequest, RepairWork, no_anchors, repair_shelves
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe, rendered, universe_bytes
from cosmos.device.transaction import Transaction
from cosmos.device.vouching import as_reader, as_writer
from cosmos.digest import Digest
from cosmos.model.names import Arch
from cosmos.model.reporter import Reporter
from cosmos.model.universe import Universe
from cosmos.records import dataclass
from cosmos.transport.network import DIRECT, Network


def repair(root: LiveRoot, request: RepairRequest, reporter: Reporter) -> Repaired:
    """Restore what is bad, in one transaction. If it raises an error of `cosmos.errors`, the system stays as it was.

    What stays bad is in the result, and its `error` is the caller's to raise.
    """
    with at_work(root, request.wait_seconds):
        undone = recover_journal(root)
        universe, settings = read_universe(root), read_settings(root)
        take_newer(root, settings, settings.galaxies, reporter, request.network, offline=request.offline)
        opened = open_galaxies(root, settings, request.network, offline=request.offline)
        for failure in opened.failures.values():
            reporter.warn(f"left out: {failure}")
        work = RepairWork(root, universe, settings, opened, request, as_writer(root), reporter)
        work.examine(reporter)
        if work.has_changes:
            with journal(root, tag=Digest.of(universe_bytes(root) or b"").short, command="repair") as going_on:
                transaction = Transaction(root, going_on)
                for batch in work.batches():
                    transaction.prepare(batch)
                transaction.publish()
                transaction.commit(rendered(work.corrected(universe)) if work.done.records else None)
                work.done.unowned = transaction.unowned
        remember_opened(root, opened)
    work.done.undone = undone
    return work.done


def rehearse_repair(root: LiveRoot, request: RepairRequest, reporter: Reporter) -> Repaired:
    """Do everything of `repair` except the changes."""
    with looking(root):
        universe, settings = read_universe(root), read_settings(root)
        tell_newer(root, settings, reporter, request.network, offline=request.offline)
        opened = open_galaxies(root, settings, request.network, offline=request.offline)
        remember_shown(root, opened)
        work = RepairWork(root, universe, settings, opened, request, as_reader(root), reporter)
        work.examine(reporter)
        for _ in work.batches():
            pass
        return work.done


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildRequest:
    """How to rebuild universe.toml: what the system is, and where signed stars may be besides the settings.

    `release` is the release that made the system, if it is at hand.
    """

    arch: Arch
    version: str
    epoch: int
    offline: bool = False
    sticks: Sequence[Path] = ()
    release: ReleaseAsked | None = None
    wait_seconds: float = 0
    network: Network = DIRECT


def rebuild_universe(
    root: LiveRoot, request: RebuildRequest, reporter: Reporter, agrees: Callable[[RebuiltUniverse], bool]
) -> None:
    """Rebuild a lost or damaged universe.toml, and write it if the caller `agrees`.

    Raises `Refused` if the system has no trust anchors and no release is at hand, or if the release made another
    system, and `Malformed` if the universe can be read.
    """
    with at_work(root, request.wait_seconds):
        recover_journal(root)
        damaged, settings = demand_unreadable(root), read_settings(root)
        opened = open_galaxies(root, settings, request.network, offline=request.offline)
        for failure in opened.failures.values():
            reporter.warn(f"left out: {failure}")
        shelves = repair_shelves(root, settings, opened, request)
        if shelves is None and request.release is None:
            raise no_anchors(root, f"; or {RELEASE_HINT}")
        released = None
        if request.release is not None:
            trust = opened.trust
            released = open_any_release(root, request.release, opened.store, trust, as_writer(root), reporter)
        arch = request.arch if released is None else released.universe.arch
        rebuilt = RebuiltUniverse(universe=Universe(arch=arch, version=request.version), taken=(), unknown=())
        if shelves is not None:
            rebuilt = rebuilt_universe(
                root, settings, shelves, reporter, arch=arch, version=request.version, epoch=request.epoch
            )
        if released is not None:
            rebuilt = with_release(root, rebuilt, released)
        remember_opened(root, opened)
        if agrees(rebuilt):
            write_rebuilt(root, rebuilt, damaged)
