"""`cosmos install --locked`: exactly the stars of a lock, judged as a build judges a lock.

The lock's galaxies are those of the system, by name, in the snapshots that the lock names. What the lock says of trust
is compared with what this system accepted (TRUST.md section 11). Their bytes come from the system's galaxies, from its
cache, or from a vendored folder (staging.vendored).

A star that is installed with the lock's archive stays. A star that is installed in another version is an error that
names it: an installation changes no installed star. Stars that the lock does not name stay, unless one conflicts with
a star of the lock.

KNOWN GAP: a universe of format 1 does not say what its stars conflict with, so only the lock's stars are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from cosmos.device.choose import Choice, Chosen
from cosmos.device.galaxies import OpenGalaxies
from cosmos.device.memory import SystemTrust, system_anchor, system_trust
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.device.system import TRUST_PATH
from cosmos.device.system_library import installed_candidate
from cosmos.errors import NoSolution, Refused, quoted
from cosmos.keyring.anchors import earlier_roots
from cosmos.model.facts import Facts
from cosmos.model.image import GalaxySource
from cosmos.model.lock import Lock, LockedGalaxy, LockedStar
from cosmos.model.names import GalaxyName, StarName, star_behind
from cosmos.model.settings import Settings
from cosmos.model.universe import Installed, Universe, demand_reader
from cosmos.records import dataclass
from cosmos.resolve.locked import demand_right, outranked
from cosmos.resolve.together import Placed, Together
from cosmos.staging.acquire import Acquired, acquire_index, newest_index
from cosmos.staging.galaxies import OpenGalaxy, naming_address
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.staging.vendored import vendored_source
from cosmos.store.blobs import StoreFolder
from cosmos.transport.network import Network
from cosmos.transport.opening import open_carrier
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots

_IMAGE: Final = "image"  # who wished for a star, in a lock
_USER: Final = "user"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockToInstall:
    """A lock from the file `file`, whose bytes come from the vendored folder `origin` if there is one."""

    lock: Lock
    file: Path
    origin: Path | None = None


class SnapshotGalaxy(OpenGalaxy):
    """A galaxy in the snapshot that a lock names: an older one than the system has seen is no rollback."""

    def remembered(self, memory: Memory) -> Memory:
        """Return the memory after a lock named this snapshot; raises `RolledBack` for another one of that number."""
        return memory.with_locked_index(self.index, self._roots, f"{self.name}: {INDEX_FILE}")


def open_locked(
    root: LiveRoot, settings: Settings, wanted: LockToInstall, network: Network, *, offline: bool
) -> OpenGalaxies:
    """Open the lock's galaxies in the lock's snapshots.

    Raises `NoSolution` for a galaxy that is not the system's, `Refused` for a lock that was made under other trust
    anchors, and what the galaxies raise.
    """
    trust = system_trust(root)
    demand_trust(root, wanted.lock, trust)
    store = StoreFolder(root.below(settings.cache_dir))
    known = {galaxy.name: galaxy for galaxy in settings.galaxies}
    opened = []
    for locked in wanted.lock.galaxies:
        asked = _asked(locked, known, root.option)
        source = _source(root, asked, wanted, store, network, offline=offline)
        with naming_address(shown(SETTINGS_PATH), asked.name):
            opened.append(_opened(replace(asked, allow_unsigned=locked.allow_unsigned), locked, source, trust))
    order = tuple(name for name in known if any(galaxy.name == name for galaxy in opened))
    return OpenGalaxies(trust=trust, store=store, order=order, galaxies=tuple(opened), failures={})


def demand_trust(root: LiveRoot, lock: Lock, trust: SystemTrust) -> None:
    """Raise `Refused` if the lock was made under a trust.toml that this system did not accept, or not yet."""
    if lock.trust.version > trust.roots.version:
        raise Refused(
            shown(TRUST_PATH),
            f"is version {trust.roots.version}, but the lock was made under version {lock.trust.version}: "
            "a later one may revoke a key",
            hint=f"take the later versions with: cosmos trust update FROM{root.option}",
        )
    roots_when_locked(root, lock)


def roots_when_locked(root: LiveRoot, lock: Lock) -> TrustRoots | None:
    """Return the trust anchors that the lock was made under, or None if they are not kept here.

    Raises `OtherTrust` if another document was accepted here under the version that the lock names.
    """
    if lock.trust.digest is None:
        return None
    return earlier_roots(system_anchor(root), lock.trust.version, lock.trust.digest)


def choose_locked(wanted: LockToInstall, universe: Universe, opened: OpenGalaxies, option: str) -> Choice:
    """Return the stars of the lock that are not installed.

    Raises `NoSolution` for a lock that does not answer its own wishes or is for another machine, and that names each
    star that is installed in another version, or that conflicts with an installed star.
    """
    lock, installed = wanted.lock, universe.installed
    demand_right(lock, wanted.file)
    if lock.request.arch != universe.arch:
        raise NoSolution(str(wanted.file), f"is for {lock.request.arch}, but this system is {universe.arch}")
    _demand_same_versions(lock, universe)
    _demand_peace(lock, universe, str(wanted.file))
    asked_here = universe.image == lock.request.image
    stars, reasons = list[Chosen](), dict[StarName, tuple[str, ...]]()
    for star in lock.stars:
        wanted_by = tuple(who if asked_here or who != _IMAGE else _USER for who in star.wanted_by)
        there = installed.get(star.name)
        if there is None:
            if star.facts is not None:
                demand_reader(
                    star.name, star.version, star.facts, f"cosmos show {star.name}{option} lists its versions"
                )
            galaxy = opened.galaxy(star.galaxy)
            assert galaxy is not None, "every galaxy of the lock is open"
            stars.append(Chosen(star=replace(star, wanted_by=wanted_by), galaxy=galaxy))
        elif new := tuple(who for who in wanted_by if who not in there.wanted_by and star_behind(who) not in installed):
            reasons[star.name] = new
    kept = tuple(name for name in lock.request.stars if name in installed)
    return Choice(lock=lock, stars=tuple(stars), kept=kept, reasons=reasons)


def demand_signed_right(
    wanted: LockToInstall, opened: OpenGalaxies, universe: Universe, acquired: Mapping[StarName, Acquired]
) -> None:
    """Judge the lock once more, by what its stars' signed statements say.

    Stars that are installed already have no statement here: their rows in the lock count. Raises `NoSolution`.
    """
    lock = wanted.lock
    signed = {name: Facts.of(item.statement.statement.star) for name, item in acquired.items()}
    facts = {star.name: signed.get(star.name, star.facts or _recorded(star, universe)) for star in lock.stars}
    owners: dict[StarName, GalaxyName] = {}
    for name in opened.order:
        galaxy = opened.galaxy(name)
        assert galaxy is not None, "the order names open galaxies"
        index = galaxy.index.index
        for claimed in (*index.newest, *(one for row in index.snapshot for one in (row.name, *row.provides))):
            owners.setdefault(claimed, name)
    for star, said in outranked(lock, facts, owners):
        raise NoSolution(star.id, said, hint="the order of galaxies in config.toml is another than where it was locked")
    demand_right(lock, wanted.file, facts)


def _recorded(star: LockedStar, universe: Universe) -> Facts:
    there = universe.installed.get(star.name)
    return Facts(arch=star.arch) if there is None or there.about is None else there.about.facts


def _asked(locked: LockedGalaxy, known: Mapping[GalaxyName, GalaxySource], option: str) -> GalaxySource:
    asked = known.get(locked.name)
    if asked is None:
        raise NoSolution(
            locked.name,
            f"the lock takes stars from this galaxy, and config.toml has {', '.join(known) or 'no galaxy'}",
            hint=f"cosmos add-galaxy {locked.name} {quoted(locked.url)}{option}",
        )
    if locked.allow_unsigned and not asked.allow_unsigned:
        raise Refused(
            locked.name,
            "the lock lets its stars be unsigned, and config.toml does not",
            hint=f"allow-unsigned = true under [galaxies] in {shown(SETTINGS_PATH)}, if nobody has to sign them",
        )
    return asked


def _source(
    root: LiveRoot, asked: GalaxySource, wanted: LockToInstall, store: StoreFolder, network: Network, *, offline: bool
) -> Source:
    if wanted.origin is not None:
        return vendored_source(wanted.origin, asked.name, store)
    carrier = open_carrier(asked.url, root.below(SETTINGS_PATH.parent), store.partial_dir, network)
    return Source(galaxy=asked.name, carrier=None if offline and not carrier.is_local else carrier, store=store)


def _opened(asked: GalaxySource, locked: LockedGalaxy, source: Source, trust: SystemTrust) -> OpenGalaxy:
    file, index = acquire_index(locked, source, trust.roots)
    newest = newest_index(locked, source, trust.roots, (file, index))
    galaxy = SnapshotGalaxy(asked, source, index, trust.roots)
    memory = galaxy.remembered(trust.memory or Memory())
    if newest is not None:
        memory.with_index(newest, trust.roots, f"{asked.name}: {INDEX_FILE}")
    source.keep(file)
    return galaxy


def _demand_same_versions(lock: Lock, universe: Universe) -> None:
    """Raise `NoSolution` that names each star of the lock that is installed from another archive."""
    other = []
    for star in lock.stars:
        there = universe.installed.get(star.name)
        if there is None or there.archive == star.archive:
            continue
        what = f"{there.version}" if there.version != star.version else f"{there.version} from another archive"
        other.append(f"{star.name} is installed as {what}, but the lock has {star.version}")
    if other:
        raise NoSolution(
            "",
            "; ".join(other),
            hint="an installation changes no installed star: install the lock on another system (--root)",
        )


def _demand_peace(lock: Lock, universe: Universe, file: str) -> None:
    """Raise `NoSolution` that names the conflicts between the lock's stars and other installed stars."""
    own = {star.name for star in lock.stars}
    others = [_placed(name, star) for name, star in sorted(universe.installed.items()) if name not in own]
    stars = [*(_placed_of(star) for star in lock.stars if star.facts is not None), *others]
    together = Together(stars)
    found = [
        f"{star} conflicts with {other}"
        for star in stars
        for other, _ in together.clashes(star)
        if (star.name in own) != (other.name in own)
    ]
    if found:
        raise NoSolution(file, "; ".join(found), hint="install the lock on another system (--root)")


def _placed(name: StarName, star: Installed) -> Placed:
    return Placed(
        name=name,
        version=star.version,
        arch=star.arch,
        galaxy=installed_candidate(name, star).galaxy,
        facts=Facts(arch=star.arch) if star.about is None else star.about.facts,
        dependencies=tuple(star.dependencies),
        wanted_by=tuple(star.wanted_by),
    )


def _placed_of(star: LockedStar) -> Placed:
    assert star.facts is not None, "asked only for stars with facts"
    return Placed(
        name=star.name,
        version=star.version,
        arch=star.arch,
        galaxy=star.galaxy,
        facts=star.facts,
        dependencies=star.dependencies,
        wanted_by=star.wanted_by,
    )
