"""Verify again what a signed release asserts of its stars, without making the release again.

A record that nothing changed counts for a signed release only together with this: decision 0058.
"""

from __future__ import annotations

from cosmos.image.acquiring import acquire_lock
from cosmos.image.definition import Definition
from cosmos.image.policy import demand_signable, demand_signed_lock, demand_vouched
from cosmos.image.world import World
from cosmos.model.lock import Lock


def verify_again(definition: Definition, world: World, accept: frozenset[str]) -> None:
    """Verify the lock's signature, and each index, statement and archive, as a build does before it unpacks anything.

    Raises what `build_image` raises for them.
    """
    data, envelope = world.lock_files(definition)
    demand_signed_lock(definition, world, data, envelope)
    stars = acquire_lock(Lock.parse(data, str(definition.lock_file)), definition, world, accept)
    demand_signable(definition, stars.signers)
    demand_vouched(definition.image.policy, stars.stars, world)
