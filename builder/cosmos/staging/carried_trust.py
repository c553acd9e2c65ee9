"""The versions of trust.toml that a galaxy, a folder or a stick carries (`trust.chain` says how one follows another).

Who opens a galaxy asks it for the version that follows the accepted one. If the galaxy carries one that the accepted
keys have signed, nobody goes on under the old version in silence: it may revoke a key. If the keys did not sign it, it
is not a version at all; anybody can put such a file on a mirror, so it is named and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import CosmosError, WorldFailed
from cosmos.keyring.catching_up import ChainSource
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.records import dataclass
from cosmos.transport.carrier import Carrier, NotThere
from cosmos.trust.chain import CHAIN_FOLDER, step_file, verify_step
from cosmos.trust.roots import TrustRoots

_MOST_STEPS: Final = 1000  # that are read to say what has changed; `trust update` takes any number


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """The versions that a place carries and that follow the accepted one, in order.

    `problem` says why the next version there does not count.
    """

    address: str
    steps: tuple[TrustRoots, ...] = ()
    problem: str = ""

    @property
    def newest(self) -> TrustRoots | None:
        """The newest version, or None if there is no later one."""
        return self.steps[-1] if self.steps else None

    def news(self, trusted: TrustRoots) -> str:
        """Return in one line which versions follow `trusted`, and whom they revoke."""
        assert self.steps, "asked only where there is news"
        last = self.steps[-1]
        before = {row.key for row in trusted.revoked}
        revoked = ", ".join(f"{last.name_of(row.key)} {row}" for row in last.revoked if row.key not in before)
        first = self.steps[0]
        versions = f"version {last.version}" if first is last else f"versions {first.version} to {last.version}"
        return f"{versions} of trust.toml, signed by your root keys" + (f": {revoked}" if revoked else "")


def carried_by_galaxy(carrier: Carrier, trusted: TrustRoots, accepted: Digest) -> Carried:
    """Return the versions that follow `trusted` in the galaxy of `carrier`; `accepted` is the digest of `trusted`.

    A galaxy that is away carries none, and so does a galaxy with the chain of another operator.
    """
    chain = chain_of_galaxy(carrier)
    steps, problem = list[TrustRoots](), ""
    try:
        for step in _steps(chain, trusted):
            steps.append(step)
    except WorldFailed:
        pass
    except CosmosError as error:
        problem = str(error) if _is_ours(chain, trusted.version, accepted) else ""
    return Carried(address=carrier.address, steps=tuple(steps), problem=problem)


def _steps(chain: ChainSource, last: TrustRoots) -> Iterator[TrustRoots]:
    for _ in range(_MOST_STEPS):
        name = step_file(last.version + 1)
        data = chain.read(name)
        if data is None:
            return
        last = verify_step(last, data, chain.read(f"{name}.dsse"), f"{chain.address}: {CHAIN_FOLDER}/{name}")
        yield last


def _is_ours(chain: ChainSource, version: int, accepted: Digest) -> bool:
    """Return whether the place has the accepted version, or none under that number."""
    try:
        same = chain.read(step_file(version))
    except CosmosError:
        return True
    return same is None or Digest.of(same) == accepted


def chain_of_galaxy(carrier: Carrier) -> ChainSource:
    """Return the chain that the galaxy of `carrier` has in its folder `trust`.

    The folder is not listed: it may lie below a system's root, and only the carrier knows how to stay inside.
    """
    return ChainSource(address=carrier.address, read=_reading(carrier, CHAIN_FOLDER))


def chain_at(carrier: Carrier, version: int, address: str) -> ChainSource:
    """Return the chain at a place that is a galaxy or the folder of versions itself. `version` is the accepted one."""
    names = [step_file(version), step_file(version + 1), step_file(1)]
    is_galaxy = any(_reading(carrier, CHAIN_FOLDER)(name) is not None for name in names)
    return _chain(carrier, CHAIN_FOLDER if is_galaxy else "", address)


def _chain(carrier: Carrier, below: str, address: str) -> ChainSource:
    listed = Path(carrier.address) / below if carrier.is_local else None
    return ChainSource(address=address, read=_reading(carrier, below), listed=_versions(listed))


def _reading(carrier: Carrier, below: str) -> Callable[[str], bytes | None]:
    def read(name: str) -> bytes | None:
        try:
            return carrier.read(f"{below}/{name}" if below else name, max_bytes=MAX_ENVELOPE_BYTES)
        except NotThere:
            return None

    return read


def _versions(folder: Path | None) -> tuple[int, ...]:
    if folder is None or not folder.is_dir():
        return ()
    names = [file.name.removesuffix(".toml") for file in sorted(folder.glob("*.toml"))]
    return tuple(sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 19))
