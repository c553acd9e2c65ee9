"""`log = true` of a policy: every star is in its galaxy's log, and the log continues the remembered one.

If the galaxy can be read, its log is read whole. It must continue the head that this machine remembers. Then the memory
and the store keep it. A star's proof must show a head that the log had. The store keeps a proof only after it was
judged.

Offline, the store has the proofs and the log that were judged last. They are judged again, against the same memory.
Nobody can tell offline whether the log was forked since.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from cosmos.canon import digest_of
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.lock import LockedStar
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.records import dataclass
from cosmos.staging.ahead import fetching_ahead
from cosmos.staging.beside import beside_path, keep_beside, read_beside
from cosmos.staging.source import Source
from cosmos.transport.carrier import Carrier, Expected, NotThere
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
from cosmos.trust.merkle import EMPTY_ROOT, HASH_BYTES, root_of
from cosmos.trust.notes import MAX_NOTE_BYTES, Head
from cosmos.trust.roots import TrustRoots
from cosmos.trust.tiles import CHECKPOINT, LEAVES_BYTES, LOG_FOLDER, leaf_tiles, read_leaves

Remember: TypeAlias = Callable[[Callable[[Memory], Memory]], None]
_LOG_HINT: Final = "ask the galaxy's owner for its log; its owner makes one with: stellar log append GALAXY"
_ASK: Final = "keep the proof as evidence, and ask the galaxy's owner"
_AGAIN: Final = "run the same command without --offline once"


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A star and its galaxy. `stem` is the name of its files there, without their endings."""

    star: LockedStar
    source: Source
    stem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenLog:
    """A galaxy's log: its size, its root hash, and its leaf hashes. Offline, the leaf hashes may be missing (None)."""

    size: int
    root: bytes
    leaves: tuple[bytes, ...] | None

    def had(self, head: Head) -> bool | None:
        """Return whether the log once had this head, or None if it is not known."""
        if head.size > self.size:
            return False
        if self.leaves is not None:
            return root_of(self.leaves[: head.size]) == head.root
        return head.root == self.root if head.size == self.size else None


class OpenLogs:
    """The logs of several galaxies, judged by the pinned keys and by this machine's memory. Each is read once.

    `remember` changes the memory by a function, and changes nothing if the function raises.
    """

    def __init__(self, roots: TrustRoots, remember: Remember, reporter: Reporter) -> None:
        self._roots, self._remember, self._reporter = roots, remember, reporter
        self._logs: dict[GalaxyName, OpenLog | None] = {}

    def open(self, source: Source) -> OpenLog | None:
        """Return a galaxy's log. Return None offline if this machine remembers no head of it.

        Raises `BadLog` for a log that was cut or forked, and offline for one that was not read since its recovery.
        """
        if source.galaxy not in self._logs:
            self._logs[source.galaxy] = self._opened(source)
        return self._logs[source.galaxy]

    def demand(self, item: Published) -> None:
        """Refuse a star without a good proof, or with a proof of a head that the galaxy's log never had.

        If the head is larger than the log that we read, the log may have grown since. So we read the log again first.
        """
        star, source = item.star, item.source
        path = f"{source.galaxy}: {beside_path(item.stem, PROOF_SUFFIX)}"
        log = self.open(source)
        proof = read_beside(source, item.stem, PROOF_SUFFIX, MAX_PROOF_BYTES)
        if proof is None:
            hint = _AGAIN if source.carrier is None else _LOG_HINT
            raise BadLog(path, "is not there, and policy.log wants every star in the log", hint=hint)
        entry = star_entry(source.galaxy, star.name, star.version, star.statement, star.archive)
        try:
            head = verify_logged(entry, proof, galaxy=source.galaxy, roots=self._roots, source=path).head
        except Refused as error:
            error.hint = error.hint or _ASK
            raise
        if log is not None and head.size > log.size and source.carrier is not None:
            log = self._logs[source.galaxy] = self._opened(source)
        had = True if log is None else log.had(head)
        if had is None:
            raise BadLog(path, "its head cannot be compared with the log: the store does not have the log", hint=_AGAIN)
        if not had:
            said = f"its head, of {head.size} entries, is not one that the galaxy's log ever had: a fork"
            raise BadLog(path, said, hint=_ASK)
        keep_beside(source, item.stem, PROOF_SUFFIX, proof)

    def _opened(self, source: Source) -> OpenLog | None:
        return self._remembered(source) if source.carrier is None else self._read(source, source.carrier)

    def _read(self, source: Source, carrier: Carrier) -> OpenLog:
        name = f"{source.galaxy}: {LOG_FOLDER}/{CHECKPOINT}"
        try:
            note = carrier.read(f"{LOG_FOLDER}/{CHECKPOINT}", max_bytes=MAX_NOTE_BYTES)
            head = verify_head(note, galaxy=source.galaxy, roots=self._roots, source=name)
            tiles = [
                Expected(path=f"{LOG_FOLDER}/{path}", most=LEAVES_BYTES) for path in leaf_tiles(head.head.size, name)
            ]
            with fetching_ahead([(source, tiles)]):
                leaves = read_leaves(
                    head.head.size, lambda path, most: carrier.read(f"{LOG_FOLDER}/{path}", max_bytes=most), name
                )
        except NotThere as error:
            said = "is not there, and policy.log wants every star in the log"
            raise BadLog(error.where, said, hint=_LOG_HINT) from error
        self._remember(_continuing(source.galaxy, head, leaves, self._roots, name))
        source.store.put_made(_key(source.galaxy, head.head.size, head.head.root), b"".join(leaves))
        return OpenLog(size=head.head.size, root=head.head.root, leaves=leaves)

    def _remembered(self, source: Source) -> OpenLog | None:
        """Return the log whose head this machine remembers, from the store."""
        galaxy, found = source.galaxy, list[SeenHead]()

        def look(memory: Memory) -> Memory:
            seen = memory.seen_log(galaxy, self._roots)
            if seen is None and log_origin(galaxy) in memory.logs:
                since = self._roots.recovered.log_since(galaxy)
                said = f"begins again with version {since} of trust.toml, and was not read since"
                raise BadLog(f"{galaxy}: {LOG_FOLDER}/{CHECKPOINT}", said, hint=_AGAIN)
            found.extend([] if seen is None else [seen])
            return memory

        self._remember(look)
        self._reporter.note(f"{galaxy}: offline; cannot judge whether its log was forked meanwhile")
        if not found:
            return None
        size, root = found[-1].size, bytes.fromhex(found[-1].root.hex)
        kept = source.store.get_made(_key(galaxy, size, root))
        if kept is None:
            return OpenLog(size=size, root=root, leaves=None)
        leaves = tuple(bytes(kept[place : place + HASH_BYTES]) for place in range(0, len(kept), HASH_BYTES))
        return OpenLog(size=size, root=root, leaves=leaves if root_of(leaves) == root else None)


def _continuing(
    galaxy: GalaxyName, now: VerifiedHead, leaves: tuple[bytes, ...], roots: TrustRoots, source: str
) -> Callable[[Memory], Memory]:
    origin = log_origin(galaxy)

    def judged(memory: Memory) -> Memory:
        seen = memory.seen_log(galaxy, roots)
        size, root = (seen.size, bytes.fromhex(seen.root.hex)) if seen is not None else (0, EMPTY_ROOT)
        demand_continued(Head(origin=origin, size=size, root=root), now, leaves, source)
        newest = Digest.from_hex(now.head.root.hex())
        return memory.with_log(origin, SeenHead(size=now.head.size, root=newest, trust_version=roots.version))

    return judged


def _key(galaxy: GalaxyName, size: int, root: bytes) -> Digest:
    return digest_of({"kind": "log", "galaxy": str(galaxy), "size": size, "root": root.hex()})
