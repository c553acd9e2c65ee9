"""The files of a vendored folder that come from galaxies and from the home, each with its size and its digest.

Only logs, proofs and badges are read from a galaxy here. All else was fetched and verified, and lies in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import field, replace

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.image.acquiring import AcquiredLock
from cosmos.image.home import Home
from cosmos.image.policy import demand_vouched
from cosmos.keyring.anchors import CHAIN, accepted_document, accepted_versions, home_anchor
from cosmos.model.image import Policy
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.vendored import VENDORED_GALAXIES, VENDORED_TRUST
from cosmos.reading import ENVELOPE_SUFFIX
from cosmos.records import dataclass
from cosmos.staging.acquire import Acquired
from cosmos.staging.source import INDEX_FILE, SignedFile, Source, statement_path
from cosmos.transport.carrier import Carrier, Expected, Progress
from cosmos.trust.chain import step_file
from cosmos.trust.roots import TRUST_FILE


@dataclass(frozen=True, slots=True)
class Part:
    """A file to write. Its bytes are read when they are needed."""

    size_bytes: int
    digest: Digest
    read: Callable[[], Content]

    @classmethod
    def of(cls, data: bytes) -> Part:
        """Return the part with the bytes `data`."""
        return cls(len(data), Digest.of(data), lambda: data)


@dataclass(frozen=True, slots=True)
class _Recording:
    """A carrier that keeps what was read through it: the files of a galaxy that no lock pins."""

    carrier: Carrier
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """As the carrier below it says."""
        return self.carrier.is_local

    @property
    def address(self) -> str:
        """As the carrier below it says."""
        return self.carrier.address

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Read through the carrier below it, and keep the file."""
        data = self.files[path] = self.carrier.read(path, max_bytes=max_bytes)
        return data

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Read through the carrier below it."""
        return self.carrier.read_exactly(path, size_bytes=size_bytes, progress=progress, digest=digest)

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:
        """Expect the files as the carrier below it does."""
        return self.carrier.expecting(files)


def galaxy_parts(lock: Lock, policy: Policy, acquired: AcquiredLock, world: Home) -> dict[str, Part]:
    """Return the files of the galaxies by path: snapshots, statements, archives, and what the policy asks for."""
    parts: dict[str, Part] = {}
    for galaxy in lock.galaxies:
        kept = Source(galaxy=galaxy.name, carrier=None, store=world.store).index(galaxy)
        below = f"{VENDORED_GALAXIES}/{galaxy.name}"
        for path in (INDEX_FILE, f"snapshots/{galaxy.seq}.toml"):
            parts |= _signed(f"{below}/{path}", kept)
    for item in acquired.stars.values():
        star, below = item.star, f"{VENDORED_GALAXIES}/{item.star.galaxy}"
        statement = replace(item.source, carrier=None).statement(item.stem, star.statement)
        parts |= _signed(f"{below}/{statement_path(item.stem)}", statement)
        parts[f"{below}/{star.file.removeprefix('./')}"] = Part(star.size_bytes, star.archive, _archive_of(item))
    return parts | _vouched(policy, acquired, world)


def _archive_of(item: Acquired) -> Callable[[], Content]:
    return lambda: item.archive().data


def _signed(path: str, file: SignedFile) -> dict[str, Part]:
    beside = {} if file.envelope is None else {path + ENVELOPE_SUFFIX: Part.of(file.envelope)}
    return {path: Part.of(file.data), **beside}


def _vouched(policy: Policy, acquired: AcquiredLock, world: Home) -> dict[str, Part]:
    """Return the logs, proofs and badges that the policy demands, as they were read when they were judged."""
    recording: dict[str, _Recording] = {}
    items: dict[StarName, Acquired] = {}
    for name, item in acquired.stars.items():
        if item.source.carrier is None:
            items[name] = item
            continue
        carrier = recording.setdefault(item.source.galaxy, _Recording(item.source.carrier))
        items[name] = replace(item, source=replace(item.source, carrier=carrier))
    demand_vouched(policy, items, world)
    return {
        f"{VENDORED_GALAXIES}/{galaxy}/{path}": Part.of(data)
        for galaxy, carrier in recording.items()
        for path, data in carrier.files.items()
    }


def trust_parts(world: Home) -> dict[str, Part]:
    """Return the accepted trust.toml, and its versions as a galaxy carries them, for `cosmos trust update`."""
    anchor = home_anchor(world.home)
    if not anchor.exists():
        return {}
    chain = anchor.folder.folder(CHAIN)
    files = {TRUST_FILE: anchor}
    files |= {step_file(one): chain.file(step_file(one)) for one in accepted_versions(anchor)}
    parts: dict[str, Part] = {}
    for path, file in files.items():
        document = accepted_document(file)
        if document is not None:
            data, envelope = document
            parts |= _signed(f"{VENDORED_TRUST}/{path}", SignedFile(path=path, data=data, envelope=envelope))
    return parts
