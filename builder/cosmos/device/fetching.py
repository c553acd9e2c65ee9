"""Open a system's galaxies, and fetch and verify the archives of the chosen stars, before one is unpacked."""

from __future__ import annotations

from typing import Final

from cosmos.device.choose import Choice, Chosen
from cosmos.device.galaxies import OpenGalaxies, open_galaxies, tell_gone
from cosmos.device.root import LiveRoot
from cosmos.device.system import demand_anchors
from cosmos.errors import of_star
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.model.settings import Settings
from cosmos.records import dataclass
from cosmos.staging.acquire import Acquired, acquire_star
from cosmos.staging.ahead import fetching_ahead, star_files
from cosmos.staging.galaxies import tell_unknown_keys
from cosmos.staging.source import Source
from cosmos.staging.vouching import VouchingJudge
from cosmos.transport.carrier import Expected
from cosmos.transport.network import Network
from cosmos.trust.dsse import NotSigned
from cosmos.trust.roots import TrustRoots

_LOCK_AGAIN: Final = (
    "make a lock of stars that are trusted now: cosmos freeze IMAGE --upgrade; a system takes no others, and only "
    "cosmos build can accept one by name"
)


def opened_galaxies(
    root: LiveRoot, settings: Settings, reporter: Reporter, network: Network, *, offline: bool
) -> OpenGalaxies:
    """Return the system's galaxies; warns of each that does not open, and of versions that one lists no more."""
    reporter.step("resolve")
    demand_anchors(root, settings.galaxies)
    opened = open_galaxies(root, settings, network, offline=offline)
    for failure in opened.failures.values():
        reporter.warn(f"left out: {failure}")
    opened.store.sweep()
    for galaxy in opened.galaxies:
        seen = None if opened.trust.memory is None else opened.trust.memory.seen_galaxy(galaxy.name, opened.roots)
        tell_gone(galaxy, seen, reporter)
    return opened


def acquired_stars(
    choice: Choice, opened: OpenGalaxies, judge: VouchingJudge, reporter: Reporter, then: TrustRoots | None = None
) -> dict[StarName, Acquired]:
    """Return the archives of the chosen stars, fetched and verified; raises an error if one is not to be trusted.

    `judge` judges what the system's policy demands of every star (device.vouching.system_judge). `then` are the trust
    anchors that a lock was made under, if the stars are those of a lock.
    """
    if choice.stars:
        reporter.step(f"fetch and verify {counted(len(choice.stars), 'star')}")
    total = sum(chosen.star.size_bytes for chosen in choice.stars)
    acquired: dict[StarName, Acquired] = {}
    done = 0
    with fetching_ahead(_files(one) for one in choice.stars):
        for chosen in choice.stars:
            if chosen.galaxy.locked.allow_unsigned and not chosen.star.signers:
                reporter.warn(f"{chosen.star.id}: nobody signed it; your settings allow that for {chosen.galaxy.name}")
            progress = _Progress(reporter, chosen.star.id, done, total)
            try:
                with of_star(chosen.star.name):
                    acquired[chosen.star.name] = acquire_star(
                        choice.lock,
                        chosen.star,
                        chosen.galaxy.index,
                        chosen.galaxy.source,
                        opened.roots,
                        progress,
                        then,
                    )
            except NotSigned as error:
                if then is None:
                    raise
                raise NotSigned(
                    chosen.star.id, f"is in the lock, but is not trusted now: {error}", hint=_LOCK_AGAIN
                ) from error
            done += chosen.star.size_bytes
    judge.demand(item.published for item in acquired.values())
    used = dict.fromkeys(chosen.galaxy for chosen in choice.stars)
    tell_unknown_keys(used, (item.statement.statement.star for item in acquired.values()), reporter)
    return acquired


def _files(one: Chosen) -> tuple[Source, list[Expected]]:
    source = one.galaxy.source
    return source, star_files(source, one.galaxy.index, one.star)


@dataclass(frozen=True, slots=True)
class _Progress:
    """Reports the progress of fetching all stars, while one star is being fetched."""

    reporter: Reporter
    what: str
    before: int
    total: int

    def __call__(self, here: int) -> None:
        self.reporter.progress(self.what, self.before + here, self.total, "bytes")
