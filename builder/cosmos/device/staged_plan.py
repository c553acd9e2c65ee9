"""Stage, plan and judge new stars one after the other: one star's bytes are in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cosmos.device.badges import badges_of
from cosmos.device.look import Look, StarLook, look_at
from cosmos.device.plan import Plan, PlannedStar
from cosmos.device.staging_area import StagingArea
from cosmos.errors import of_star
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.records import dataclass
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent, demand_none
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Who sees all stars once they are staged, with the stars that are `kept`. `roots` name the signers."""

    show: Callable[[Look], None]
    roots: TrustRoots
    kept: tuple[StarName, ...] = ()


def planned_stars(
    area: StagingArea,
    plan: Plan,
    acquired: Mapping[StarName, Acquired],
    settings: Settings,
    consent: Consent,
    reporter: Reporter,
    viewer: Viewer,
) -> Iterator[PlannedStar]:
    """Yield each star with its planned entries. Raises `ScriptFailed` at the end for all that the policy forbids."""
    looks: list[StarLook] = []
    is_refused = False
    badges = badges_of(acquired.values(), viewer.roots)  # before any script runs: they come by threads
    urls = {galaxy.name: galaxy.url for galaxy in settings.galaxies}
    for number, (name, item) in enumerate(acquired.items()):
        reporter.progress(f"stage {item.star.id}", number, len(acquired))
        with of_star(name):
            staged = area.stage(name)
            planned = plan.add(item, urls[item.star.galaxy], staged.entries)
        brought = [
            entry
            for entry in planned.record.entries
            if not entry.is_shared or (entry.path in planned.named and plan.makes_again(name, entry.path))
        ]
        files, held = len(planned.record.files), badges.get(name, ())
        looks.append(look_at(item, brought, files, staged.receipt_in_json, consent, viewer.roots, held))
        is_refused = is_refused or any(not row.is_given for row in looks[-1].powers)
        if not is_refused:
            yield planned
    found = Look(stars=tuple(looks), kept=viewer.kept)
    viewer.show(found)
    demand_none(consent, found.refused)  # of all stars together, and before anything is published
