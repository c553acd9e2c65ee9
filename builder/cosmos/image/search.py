"""`cosmos search --image`: find stars of an image's galaxies by words (`staging.searching`)."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos.image.definition import Definition
from cosmos.image.resolution import opened_galaxies
from cosmos.image.world import World
from cosmos.staging.searching import Searched, searched


def search_image(definition: Definition, world: World, words: Sequence[str]) -> Searched:
    """Return the stars that have every one of `words`, in the galaxies of an image as they are now.

    Raises as `cosmos freeze` does for a galaxy that cannot be reached, or that no pinned key has signed.
    """
    galaxies, locked = opened_galaxies(definition, world)
    return searched(
        galaxies,
        words,
        machine=definition.image.arch,
        had=locked,
        left_out={},
        reporter=world.reporter,
    )
