"""`Home`: the real `World` of a build. It has the builder's home on disk, the pinned keys, and the galaxies.

HOME/store/                 blobs and results (store.blobs); may be deleted at any time
HOME/store.key              by which the home knows finished layers in its store as its own (keyring.store_key)
HOME/trust/trust.toml       the keys that the operator pinned (`cosmos trust init`)
HOME/trust/chain/           every version of trust.toml that the operator accepted (`cosmos trust update`)
HOME/trust/state.toml       the memory: the highest numbers that were verified, so that a rollback is refused
HOME/config.toml            the operator's settings (model.home_settings); may be missing
HOME/keys/                  a place for keys; cosmos reads a key from it only if the command names the key
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from cosmos.about import VERSION
from cosmos.canon import Json
from cosmos.durable import write_durably
from cosmos.image.definition import Definition, read_lock_bytes
from cosmos.image.kept_release import Place, by_stat
from cosmos.keyring.anchors import Anchor, earlier_roots, home_anchor, load_trust
from cosmos.keyring.state import NO_MEMORY, StateFile, home_state
from cosmos.keyring.store_key import store_key
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.model.lock import NO_TRUST, Lock, LockedStar, LockedTrust
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.reading import holds, read_envelope
from cosmos.records import dataclass
from cosmos.staging.source import Source
from cosmos.staging.vendored import is_vendored, vendored_source
from cosmos.stamps import Seen
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import Store
from cosmos.store.sealed import Seal, SealedStore
from cosmos.transport.local import LocalCarrier
from cosmos.transport.network import DIRECT, Network
from cosmos.transport.opening import open_carrier
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots

if TYPE_CHECKING:
    from cosmos.release.draft import Draft

NOTHING_PINNED = TrustRoots(version=0, roles={})
_SHAPING_ROOMS = ("model", "nova", "pack", "sandbox", "staging", "tree")  # the code that can change a layer's bytes
_SHAPING_MODULES = ("globs.py", "links.py")  # and so can these


@dataclass(frozen=True, kw_only=True)
class Home:
    """The real world of a build, with its home in the folder `home`. `offline`: it opens no galaxy.

    `origin`: the folder from which the galaxies come instead (`--from`). In a vendored folder every galaxy is found by
    its name. In another folder the relative paths of galaxies start.
    `network`: how it reaches servers; whoever makes it closes it.
    `known`: what the last build saw of the files of local galaxies (--trust-stat).
    """

    home: Path
    offline: bool
    reporter: Reporter
    origin: Path | None = None
    network: Network = DIRECT
    known: Mapping[Place, Seen] = field(default_factory=dict)

    @cached_property
    def store(self) -> Store:
        """The builder's store."""
        return self._folder

    @cached_property
    def made(self) -> Store:
        """The builder's store for what this program makes: it believes only what this home wrote."""
        return SealedStore(self.store, Seal(store_key(self.home)))

    @cached_property
    def _folder(self) -> StoreFolder:
        return StoreFolder(self.home / "store")

    def held(self) -> AbstractContextManager[None]:
        """Use the store for the block: nothing in it is collected meanwhile."""
        return self._folder.hold()

    @cached_property
    def pinned(self) -> TrustRoots:
        """The keys that the operator pinned; raises `Refused` if no trust.toml was ever accepted."""
        return self._anchor.roots

    @property
    def locked_trust(self) -> LockedTrust:
        """The version and digest of the trust anchors, as a lock states them."""
        if not home_anchor(self.home).exists():
            return NO_TRUST
        return LockedTrust(version=self._anchor.roots.version, digest=self._anchor.digest)

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        """Return the trust anchors that were used to make `lock`, or None if this home does not have them.

        Raises `OtherTrust` if another document was accepted here under the version that the lock names.
        """
        if lock.trust.digest is None:
            return None
        return earlier_roots(home_anchor(self.home), lock.trust.version, lock.trust.digest)

    def kept_statement(self, star: LockedStar) -> bytes | None:
        """Return the statement that the lock pins for `star`, if the store has it; its digest was checked."""
        return Source(galaxy=star.galaxy, carrier=None, store=self.store).kept_statement(star)

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        """Change the memory by `change`. Raises `RolledBack` for a rollback, and then changes nothing."""
        if home_anchor(self.home).exists():
            self.store.settle()  # an index that is remembered as seen can be read offline, whatever comes next
            self._state.change(change)

    @cached_property
    def _state(self) -> StateFile:
        return home_state(self.home)

    @cached_property
    def _anchor(self) -> Anchor:
        memory = self._state.read()
        anchor = load_trust(home_anchor(self.home), memory)
        if memory is None:
            self.reporter.note(f"{self._state.path}: {NO_MEMORY}")
        self._state.change(lambda seen: seen.with_trust(anchor.roots.version, anchor.digest, str(anchor.path)))
        return anchor

    def roots(self, *, signed: bool) -> TrustRoots:
        """Return the pinned keys. If `signed` is false, no key has to be pinned."""
        return self.pinned if signed or home_anchor(self.home).exists() else NOTHING_PINNED

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:
        """Return the galaxy called `name`; a relative path in `url` starts at `folder`, or at the `origin`."""
        if self.origin is not None and is_vendored(self.origin):
            return vendored_source(self.origin, name, self.store)
        start, waiting = self.origin or folder, self._folder.partial_dir
        carrier = None if self.offline else open_carrier(url, start, waiting, self.network)
        if not self.known or not isinstance(carrier, LocalCarrier):
            return Source(galaxy=name, carrier=carrier, store=self.store)
        is_unchanged = by_stat(self.known, name, carrier)
        return Source(galaxy=name, carrier=carrier, store=self.store, is_unchanged=is_unchanged)

    def lock_files(self, definition: Definition) -> tuple[bytes, bytes | None]:
        """Return the image's lock and the signature beside it; raises `NoSolution` if there is no lock."""
        return read_lock_bytes(definition), read_envelope(definition.lock_file, MAX_SIGNED_BYTES)

    def write_lock(self, definition: Definition, data: bytes) -> bool:
        """Write `data` as the image's lock, durably; return False if the file had it before. Raises `WorldFailed`."""
        file = definition.lock_file
        if holds(file, data):
            return False
        write_durably(file, data)
        return True

    def sandbox(self) -> Mapping[str, Json]:
        """Return the result of the live probe of Nova's sandbox; raises `WorldFailed` if it cannot confine scripts."""
        from cosmos.nova.workers import WORKER  # a freeze runs no script
        from cosmos.sandbox.probe import demand_sandbox

        return demand_sandbox(WORKER)

    def sweep(self, out: Path) -> None:
        """Remove the leftovers of killed builds in the store and beside `out`."""
        from cosmos.release.draft import sweep_beside  # a freeze writes no release

        sweep_beside(out)
        self.store.sweep()

    def draft(self, out: Path) -> AbstractContextManager[Draft]:
        """Give an empty release in a folder beside `out`."""
        from cosmos.release.draft import draft_beside

        return draft_beside(out)


def program_identity(package: Path | None) -> str:
    """Return the program's identity: its version, and the digest of its sources if it runs from sources.

    Two programs with different identities do not share layers. `package` is the folder of the `cosmos` package, or None
    in the frozen binary; there the version is enough.
    """
    if package is None:
        return VERSION
    hasher = hashlib.sha256()
    for file in _sources(package):
        hasher.update(f"{file.relative_to(package).as_posix()}\0{file.stat().st_size}\0".encode())
        hasher.update(file.read_bytes())
    return f"{VERSION}+{hasher.hexdigest()}"


def _sources(package: Path) -> Iterable[Path]:
    rooms = (file for room in _SHAPING_ROOMS for file in sorted((package / room).rglob("*")))
    code = (file for file in rooms if file.suffix in (".py", ".lua"))
    return chain(code, (package / name for name in _SHAPING_MODULES))
