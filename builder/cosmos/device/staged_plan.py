"""Stage, plan and judge new stars one after the other: one star's bytes are in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cosmos.device.plan import Plan, PlannedStar
from cosmos.device.staging_area import StagingArea
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent, Overreach, demand_none, overreaches


def planned_stars(
    area: StagingArea,
    plan: Plan,
    acquired: Mapping[StarName, Acquired],
    settings: Settings,
    consent: Consent,
    reporter: Reporter,
) -> Iterator[PlannedStar]:
    """Yield each star with its planned entries. Raises `ScriptFailed` at the end for all that the policy forbids."""
    refused: list[Overreach] = []
    urls = {galaxy.name: galaxy.url for galaxy in settings.galaxies}
    for number, (name, item) in enumerate(acquired.items(), 1):
        reporter.progress(f"install {item.star.id}", number, len(acquired))
        staged = area.stage(name)
        planned = plan.add(item, urls[item.star.galaxy], staged.entries)
        brought = [
            entry
            for entry in planned.record.entries
            if not entry.is_shared or (entry.path in planned.named and plan.makes_again(name, entry.path))
        ]
        refused += overreaches(consent, name, brought, staged.receipt)
        if not refused:
            yield planned
    demand_none(consent, refused)  # of all stars together, and before anything is published
