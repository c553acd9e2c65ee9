"""Stop a freeze or a build if a galaxy carries a newer trust.toml than this home has accepted.

The newer one may revoke a key. It counts only if the accepted root keys have signed it. A builder does not take it on
its own: the person who builds decides, with `cosmos trust update`, and everybody's builds change at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from cosmos.errors import Refused, quoted
from cosmos.image.world import World
from cosmos.staging.carried_trust import carried_by_galaxy
from cosmos.staging.source import Source


def demand_newest_trust(world: World, sources: Iterable[Source]) -> None:
    """Raise `Refused` if one of the galaxies carries a version of trust.toml that follows the accepted one.

    A version that the accepted keys did not sign is named in a warning.
    """
    accepted = world.locked_trust
    if accepted.digest is None:
        return
    for source in sources:
        if source.carrier is None:
            continue
        carried = carried_by_galaxy(source.carrier, world.pinned, accepted.digest)
        if carried.problem:
            world.reporter.warn(f"{source.galaxy} carries a trust.toml that your keys do not accept: {carried.problem}")
        if carried.newest is not None:
            raise Refused(
                f"galaxy {source.galaxy}",
                f"carries {carried.news(world.pinned)}; this home has version {accepted.version}",
                hint=f"cosmos trust update {quoted(carried.address)}",
            )
