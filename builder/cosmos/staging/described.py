"""Describe the stars of an open galaxy in a few words each, for a search.

The words come from the galaxy's catalogue, one file that its index names by digest (model.catalogue). Some galaxies
have none: upstream's, and those of an older stellar. Their stars have a name, a version, and words only if the store
keeps the star's statement. Nothing is fetched for a galaxy without a catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cosmos.errors import CosmosError
from cosmos.model.catalogue import Described
from cosmos.model.galaxy import Listed
from cosmos.model.statement import Statement
from cosmos.resolve.catalogue import preferred
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.trust.galaxies import read_catalogue


def fetched_catalogue(galaxy: OpenGalaxy) -> bytes | None:
    """Return the catalogue that the galaxy's index names, from the store or the galaxy; None if it names none.

    Nothing has parsed it yet. Raises `Refused` for another file, `WorldFailed` if it cannot be fetched.
    """
    pin = galaxy.index.index.catalogue
    return None if pin is None else galaxy.source.catalogue(pin)


def keep_catalogue(galaxy: OpenGalaxy, data: bytes | None) -> None:
    """Keep what `fetched_catalogue` returned, for use offline. Raises `WorldFailed`."""
    pin = galaxy.index.index.catalogue
    if pin is not None and data is not None:
        galaxy.source.keep_catalogue(pin, data)


def catalogued(galaxy: OpenGalaxy, data: bytes) -> Sequence[Described]:
    """Return every star in the galaxy's catalogue `data` that the operator's floor allows.

    Raises `Refused`, `Malformed`, and `NewerCatalogue` for a format that this cosmos does not know.
    """
    catalogue = read_catalogue(data, galaxy.index, f"{galaxy.name}: the catalogue")
    return [row for row in catalogue.stars if any(row.version == one.version for one in galaxy.versions(row.name))]


def listed_alone(galaxy: OpenGalaxy) -> Iterable[Described]:
    """Yield the newest version of every star of a galaxy, as its index and the kept statements say."""
    index = galaxy.index.index
    if not index.snapshot:  # upstream's: its manifests lie in the galaxy alone
        for name, version in index.newest.items():
            yield Described(name=name, version=version)
        return
    rows = {(row.name, row.version): row for row in index.snapshot}
    for name in galaxy.names():
        newest = preferred(galaxy.versions(name), {})[0]
        yield _kept(galaxy, rows[name, newest.version]) or Described(name=name, version=newest.version)


def _kept(galaxy: OpenGalaxy, row: Listed) -> Described | None:
    """Return a star by its statement in the store, whose digest the index names; None if it is not kept there."""
    try:
        file = replace(galaxy.source, carrier=None).statement(row.stem, row.statement)
        return Described.of(Statement.parse(file.data, f"{galaxy.name}: {file.path}"))
    except CosmosError:
        return None
