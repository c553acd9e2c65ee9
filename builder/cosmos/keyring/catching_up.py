"""Catch up: take every version of trust.toml that follows the accepted one, out of a folder, a stick or a galaxy.

A machine that missed five versions takes all five, each judged by the one before (`trust.chain`), or none of them:
nothing is written before the last version was judged. No network is needed; the folder may come on a USB stick.

A folder whose newest version is the accepted one, byte for byte, holds no news, and nothing changes. A folder that is
behind is refused. A folder that holds another document under an accepted number is refused as well.
"""

from __future__ import annotations

from collections.abc import Callable

from cosmos.digest import Digest
from cosmos.folders import FileIn
from cosmos.keyring.anchors import (
    Anchor,
    accepted_document,
    accepted_versions,
    complete_envelope,
    keep_version,
    load_trust,
)
from cosmos.keyring.state import State
from cosmos.records import dataclass
from cosmos.trust.chain import BrokenChain, step_file, verify_step
from cosmos.trust.memory import RolledBack
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainSource:
    """Where the versions come from. `read` returns a file's bytes, or None if the file is missing.

    `listed` are the versions that the place is known to hold, if it can be listed.
    """

    address: str
    read: Callable[[str], bytes | None]
    listed: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CaughtUp:
    """The anchors now, and the versions that were taken, in order; no versions if there was no news."""

    anchor: Anchor
    taken: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    data: bytes
    envelope: bytes | None
    roots: TrustRoots


def catch_up(anchor: FileIn, source: ChainSource, state: State) -> CaughtUp:
    """Take every version in `source` that follows the accepted one, or raise and write nothing."""
    start = load_trust(anchor, state.read())
    _demand_same(start, source)
    steps = _verified_steps(start.roots, source)
    if not steps:
        _demand_not_behind(start, source)
    held = accepted_document(anchor)
    if steps and held is not None and start.roots.version not in accepted_versions(anchor):
        keep_version(anchor, start.roots.version, *held)  # installed by an image, say, and not by init
    for step in steps:
        keep_version(anchor, step.roots.version, step.data, step.envelope)
    last = start
    if steps:
        step = steps[-1]
        anchor.write(step.data)  # now it counts; chain/ has its envelope until the envelope is beside it
        last = Anchor(path=anchor.path, digest=Digest.of(step.data), roots=step.roots, is_signed=True, is_new=True)
    complete_envelope(anchor)
    state.change(lambda memory: memory.with_trust(last.roots.version, last.digest, str(anchor)))
    return CaughtUp(anchor=last, taken=tuple(step.roots.version for step in steps))


def _verified_steps(trusted: TrustRoots, source: ChainSource) -> list[_Step]:
    steps: list[_Step] = []
    while True:
        name = step_file(trusted.version + 1)
        data = source.read(name)
        if data is None:
            break
        envelope = source.read(f"{name}.dsse")
        trusted = verify_step(trusted, data, envelope, f"{source.address}: {name}")
        steps.append(_Step(data=data, envelope=envelope, roots=trusted))
    later = [version for version in source.listed if version > trusted.version]
    if later:
        raise BrokenChain(
            source.address,
            f"holds version {min(later)}, but not version {trusted.version + 1}, which comes first",
            hint="take the whole folder of versions; a step that is left out may hold a revocation",
        )
    return steps


def _demand_same(start: Anchor, source: ChainSource) -> None:
    """Refuse a place that holds another document under the version that was accepted."""
    same = source.read(step_file(start.roots.version))
    if same is not None and Digest.of(same) != start.digest:
        raise RolledBack(
            f"{source.address}: {step_file(start.roots.version)}",
            f"is {Digest.of(same)}, but {start.digest} was accepted as version {start.roots.version}",
            hint="it is another operator's chain, or a second chain of yours: ask the holders of your root keys",
        )


def _demand_not_behind(start: Anchor, source: ChainSource) -> None:
    """Refuse a place that holds neither the next version nor the accepted one: it is behind, or another's."""
    version = start.roots.version
    if source.read(step_file(version)) is None:
        newest = f"ends with version {max(source.listed)}" if source.listed else f"does not hold version {version}"
        raise RolledBack(
            source.address,
            f"{newest}, but version {version} is accepted here",
            hint="it is an old copy, or another operator's: ask for the newest versions",
        )
