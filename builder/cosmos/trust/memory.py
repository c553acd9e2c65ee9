"""A machine's memory of the newest versions it has seen: it refuses a rollback without a clock (TRUST.md section 5).

    # what this machine has seen; kept so that nothing older is taken for new
    state-version = 1

    [trust]                            # the highest version of trust.toml that was accepted
    version = 4
    digest = "sha256:…"

    [galaxies.core]                    # the highest seq of an index that was verified
    number = 9
    digest = "sha256:…"                # of that index: another index with the same seq is a fork
    trust-version = 4                  # of the trust.toml under which it was seen; see trust.floors on recovery

    [releases.rescue]                  # the highest counter of a release that was verified
    number = 3
    digest = "sha256:…"
    trust-version = 4

    [logs."core.example/log"]          # the largest head of a transparency log that was verified
    size = 812
    root = "sha256:…"
    trust-version = 4

A machine that has no such file yet cannot judge a rollback by it, and says so. The floors in trust.toml always hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Self, TypeVar

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.names import GalaxyName, ImageName
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.log import log_origin
from cosmos.trust.roots import TrustRoots

STATE_VERSION = 1
Name = TypeVar("Name", bound=str)
Row = TypeVar("Row")


class RolledBack(Refused):
    """A document is older than one seen before, or it differs from the one seen under the same number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The highest number of something, its digest, and the version of trust.toml under which it was seen."""

    number: int
    digest: Digest
    trust_version: int

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[galaxies.NAME]` or `[releases.NAME]` table."""
        seen = cls(
            number=table.count("number"),
            digest=table.read("digest", Digest.parse),
            trust_version=table.count("trust-version"),
        )
        table.end()
        return seen

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"number": self.number, "digest": str(self.digest), "trust-version": self.trust_version}


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenHead:
    """The largest head of a log: how many entries, and the root hash over them."""

    size: int
    root: Digest
    trust_version: int

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[logs.ORIGIN]` table."""
        head = cls(
            size=table.count("size"),
            root=table.read("root", Digest.parse),
            trust_version=table.count("trust-version"),
        )
        table.end()
        return head

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"size": self.size, "root": str(self.root), "trust-version": self.trust_version}


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """The newest versions that a machine has seen. `trust` is None until it accepts trust anchors."""

    trust: tuple[int, Digest] | None = None
    galaxies: Mapping[GalaxyName, Seen] = field(default_factory=dict)
    releases: Mapping[ImageName, Seen] = field(default_factory=dict)
    logs: Mapping[str, SeenHead] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the memory in `data`; raises `Malformed`."""
        table = Table.parse(data, source, max_bytes=MAX_DOCUMENT_BYTES)
        if table.count("state-version") != STATE_VERSION:
            table.fail("state-version", f"want {STATE_VERSION}: this file is for another cosmos")
        trust = table.take_table("trust")
        memory = cls(
            trust=None if trust is None else (trust.count("version"), trust.read("digest", Digest.parse)),
            galaxies=_rows(table, "galaxies", GalaxyName.parse, Seen.read),
            releases=_rows(table, "releases", ImageName.parse, Seen.read),
            logs=_rows(table, "logs", str, SeenHead.read),
        )
        if trust is not None:
            trust.end()
        table.end()
        return memory

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        rows: dict[str, object] = {"state-version": STATE_VERSION}
        if self.trust is not None:
            rows["trust"] = {"version": self.trust[0], "digest": str(self.trust[1])}
        rows["galaxies"] = {str(name): self.galaxies[name].to_toml() for name in sorted(self.galaxies)}
        rows["releases"] = {str(name): self.releases[name].to_toml() for name in sorted(self.releases)}
        rows["logs"] = {origin: self.logs[origin].to_toml() for origin in sorted(self.logs)}
        return {key: value for key, value in rows.items() if value}

    def with_trust(self, version: int, digest: Digest, source: str) -> Self:
        """Return the memory after these trust anchors; raises `RolledBack` for an older or a forked version."""
        if self.trust is not None:
            demand_not_older(self.trust[0], self.trust[1], version, digest, source, "version")
        return replace(self, trust=(version, digest))

    def seen_galaxy(self, name: GalaxyName, roots: TrustRoots) -> Seen | None:
        """Return the highest seq seen of a galaxy, or None if the trust anchors say that its numbers begin again."""
        return _unless_recovered(self.galaxies.get(name), roots.recovered.galaxies.get(name, 0))

    def with_index(self, newest: VerifiedIndex, roots: TrustRoots, source: str) -> Self:
        """Return the memory after a galaxy showed its `newest` index; raises `RolledBack`."""
        name, seq = newest.index.name, newest.index.seq
        seen = self.seen_galaxy(name, roots)
        if not newest.signers:
            return self  # anybody can choose an unsigned galaxy's seq; to remember it would only lock the operator out
        if seen is not None:
            demand_not_older(seen.number, seen.digest, seq, newest.digest, source, "seq")
        return replace(self, galaxies={**self.galaxies, name: _now(seq, newest.digest, seen, roots)})

    def with_locked_index(self, locked: VerifiedIndex, roots: TrustRoots, source: str) -> Self:
        """Return the memory after a lock named a snapshot, which may be older than the newest; raises `RolledBack`."""
        seen = self.seen_galaxy(locked.index.name, roots)
        if seen is not None and locked.index.seq < seen.number:
            return self
        return self.with_index(locked, roots, source)

    def with_release(self, image: ImageName, counter: int, digest: Digest, roots: TrustRoots, source: str) -> Self:
        """Return the memory after a verified release; raises `RolledBack`. Counter 0 means that it has no counter."""
        seen = _unless_recovered(self.releases.get(image), roots.recovered.releases.get(image, 0))
        if seen is not None:
            demand_not_older(seen.number, seen.digest, counter, digest, source, "counter")
        if counter == 0:
            return self
        return replace(self, releases={**self.releases, image: _now(counter, digest, seen, roots)})

    def seen_log(self, galaxy: GalaxyName, roots: TrustRoots) -> SeenHead | None:
        """Return the largest head seen of a galaxy's log, or None if the trust anchors say that it begins again."""
        seen = self.logs.get(log_origin(galaxy))
        return None if seen is None or seen.trust_version < roots.recovered.log_since(galaxy) else seen

    def with_log(self, origin: str, head: SeenHead) -> Self:
        """Return the memory after a log's head; `trust.log` has verified that it continues the remembered head."""
        return replace(self, logs={**self.logs, origin: head})


def _now(number: int, digest: Digest, seen: Seen | None, roots: TrustRoots) -> Seen:
    """Return the row to keep. A number that is seen again keeps the trust version of the first time."""
    if seen is not None and (seen.number, seen.digest) == (number, digest):
        return seen
    return Seen(number=number, digest=digest, trust_version=roots.version)


def _unless_recovered(seen: Seen | None, since: int) -> Seen | None:
    return None if seen is None or seen.trust_version < since else seen


def demand_not_older(
    before: int, known: Digest, now: int, digest: Digest, source: str, what: str, *, where: str = ""
) -> None:
    """Raise `RolledBack` for a number below `before`, and for a digest other than `known` under the same number.

    `what` is the number's name: "seq". `where` says who saw `before`, if it was not this machine: ", in the lock".
    """
    if now < before:
        raise RolledBack(
            source,
            f"has {what} {now}, but {what} {before} was seen before{where}",
            hint="ask its owner for the newest copy; only a new trust.toml recovers from a fast-forward",
        )
    if now == before and digest != known:
        raise RolledBack(
            source,
            f"is {digest}, but another with the same {what} {now} was seen before{where}: {known}",
            hint="two documents with one number are a fork: somebody shows different documents to different people",
        )


def _rows(table: Table, key: str, parse: Callable[[str], Name], read: Callable[[Table], Row]) -> dict[Name, Row]:
    rows = table.take_table(key) or Table({}, table.source)
    found: dict[Name, Row] = {}
    for name in tuple(rows.keys()):
        try:
            parsed = parse(name)
        except ValueError as error:
            rows.fail(name, str(error))
        found[parsed] = read(rows.table(name))
    return found
