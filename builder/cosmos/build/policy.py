"""What an image's policy demands of every star besides its author's signature: the log, and badges.

    [policy]
    log = true                     every star is in its galaxy's log, and the log continues the one that is remembered
    badges = { test = 2 }          two pinned attesters have said of every star's archive that its test passed

Offline, the proofs and badges that were there last are judged; whether the log was forked meanwhile cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from cosmos.build.world import World
from cosmos.digest import Digest
from cosmos.errors import Refused, together
from cosmos.model.image import Policy
from cosmos.model.names import GalaxyName, StarName
from cosmos.staging.acquire import Acquired
from cosmos.staging.beside import beside_path, read_beside
from cosmos.staging.source import Source
from cosmos.trust.badges import BADGES_SUFFIX, MAX_BADGES_BYTES, Kind, counted, judge_badges
from cosmos.trust.log import (
    MAX_PROOF_BYTES,
    PROOF_SUFFIX,
    BadLog,
    VerifiedHead,
    demand_continued,
    log_origin,
    star_entry,
    verify_head,
    verify_logged,
)
from cosmos.trust.memory import Memory, SeenHead
from cosmos.trust.merkle import EMPTY_ROOT, root_of
from cosmos.trust.notes import MAX_NOTE_BYTES, Head
from cosmos.trust.roots import TrustRoots
from cosmos.trust.tiles import CHECKPOINT, LOG_FOLDER, read_leaves


@dataclass(frozen=True, kw_only=True, slots=True)
class _Now:
    """A galaxy's log as it is now: its head and its leaf hashes."""

    head: VerifiedHead
    leaves: tuple[bytes, ...]


def demand_policy(policy: Policy, acquired: Mapping[StarName, Acquired], world: World) -> None:
    """Raise `Refused` that names every star which is not as the image's policy demands."""
    if policy.log:
        world.reporter.step("find every star in its galaxy's log")
        sources = {item.source.galaxy: item.source for item in acquired.values()}
        logs = {name: _current(source, world) for name, source in sources.items()}
        _demand_each(acquired.values(), lambda item: _demand_logged(item, logs[item.source.galaxy], world))
    for kind, least in policy.badges.items():
        world.reporter.step(f"find {least} badges of the kind {kind} for every star")
        _demand_each(acquired.values(), partial(_demand_badges, kind=kind, least=least, roots=world.pinned))


def _demand_each(items: Iterable[Acquired], demand: Callable[[Acquired], None]) -> None:
    """Make the demand of every item, and raise what was refused together."""
    refused: list[Refused] = []
    for item in items:
        try:
            demand(item)
        except Refused as error:
            refused.append(error)
    if refused:
        raise together(refused)


def _demand_badges(item: Acquired, *, kind: Kind, least: int, roots: TrustRoots) -> None:
    path = beside_path(item.stem, BADGES_SUFFIX)
    data = read_beside(item.source, item.stem, BADGES_SUFFIX, MAX_BADGES_BYTES)
    badges = judge_badges(data or b"", digest=item.star.archive, roots=roots, source=path)
    got = len(counted(badges, kind))
    if got < least:
        raise Refused(
            item.star.id,
            f"policy.badges wants {least} pinned attesters to say that its {kind} passed, got {got or 'none'} "
            f"of {len(badges)} badges",
            hint="cosmos show STAR says how each badge stands; stellar attest makes one",
        )


def _current(source: Source, world: World) -> _Now | None:
    """Return the galaxy's log as it is now, after it was found to continue what was remembered; None when offline."""
    carrier, name = source.carrier, f"{source.galaxy}: {LOG_FOLDER}/{CHECKPOINT}"
    if carrier is None:
        world.reporter.note(f"{source.galaxy}: offline, whether its log was forked meanwhile cannot be judged")
        return None
    note = carrier.read(f"{LOG_FOLDER}/{CHECKPOINT}", max_bytes=MAX_NOTE_BYTES)
    head = verify_head(note, galaxy=source.galaxy, roots=world.pinned, source=name)
    leaves = read_leaves(head.head.size, lambda path, most: carrier.read(f"{LOG_FOLDER}/{path}", max_bytes=most), name)
    world.remember(_continuing(source.galaxy, head, leaves, world.pinned.version, name))
    return _Now(head=head, leaves=leaves)


def _continuing(
    galaxy: GalaxyName, now: VerifiedHead, leaves: tuple[bytes, ...], trust_version: int, source: str
) -> Callable[[Memory], Memory]:
    origin = log_origin(galaxy)

    def judged(memory: Memory) -> Memory:
        seen = memory.logs.get(origin)
        size, root = (seen.size, bytes.fromhex(seen.root.hex)) if seen is not None else (0, EMPTY_ROOT)
        demand_continued(Head(origin=origin, size=size, root=root), now, leaves, source)
        newest = SeenHead(size=now.head.size, root=_digest(now.head.root), trust_version=trust_version)
        return memory.with_log(origin, newest)

    return judged


def _demand_logged(item: Acquired, now: _Now | None, world: World) -> None:
    """Refuse a star without a good proof, or whose proof's head is not one that the galaxy's log ever had.

    A head that is larger than the log was when we asked is no fork yet: the log may have gone on since.
    """
    star, galaxy = item.star, item.source.galaxy
    path = f"{galaxy}: {beside_path(item.stem, PROOF_SUFFIX)}"
    proof = read_beside(item.source, item.stem, PROOF_SUFFIX, MAX_PROOF_BYTES)
    if proof is None:
        raise BadLog(path, "is not there, and policy.log wants every star in the log", hint="stellar log append GALAXY")
    entry = star_entry(galaxy, star.name, star.version, star.statement, star.archive)
    head = verify_logged(entry, proof, galaxy=galaxy, roots=world.pinned, source=path).head
    if now is not None and head.size > len(now.leaves):
        now = _current(item.source, world)
    if now is not None and (head.size > len(now.leaves) or root_of(now.leaves[: head.size]) != head.root):
        raise BadLog(path, f"its head, of {head.size} entries, is not one that the galaxy's log ever had: a fork")


def _digest(root: bytes) -> Digest:
    return Digest.from_hex(root.hex())
