"""The catalogues of a galaxy's folder: written before the index that names one, and removed some indexes later.

A catalogue has its digest for a name, so a new one never replaces another, and readers of an older index still find
theirs. The catalogues of the newest index, of the one before, and of an index that waits for signatures are kept. So
are the `KEPT` that were written last: a reader on a slow machine may still be about to ask for one of them. Older ones
are of no use: locks need none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cosmos.digest import Digest
from cosmos.durable import make_folder, write_durably
from cosmos.errors import Refused, quoted
from cosmos.limits import MAX_CATALOGUE_BYTES, MAX_INDEX_BYTES, demand_within
from cosmos.model.catalogue import Catalogue
from cosmos.model.galaxy import CataloguePin, GalaxyIndex
from cosmos.model.names import GalaxyName
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.plain_toml import plain_text
from cosmos.reading import is_there, read_bounded
from cosmos.stellar.galaxy_folder import GalaxyFolder, parsed_index

KEPT: Final = 16


def catalogue_bytes(galaxy: GalaxyFolder, name: GalaxyName, statements: Iterable[Statement]) -> bytes:
    """Return the catalogue of a galaxy with these statements; raises `Refused` if it is too large for its readers."""
    data = plain_text(Catalogue.of(name, statements).to_toml()).encode()
    where = str(galaxy.root / "catalogues")
    demand_within(len(data), MAX_CATALOGUE_BYTES, where, hint="make a second galaxy for some of the stars")
    return data


def newest(versions: Iterable[Version]) -> Version:
    """Return the highest version; a pre-release only if there is no other."""
    return max(versions, key=lambda version: (not version.is_pre_release, version))


def has_catalogue(galaxy: GalaxyFolder, pin: CataloguePin) -> bool:
    """Return whether the folder has the catalogue that an index names, with its very bytes."""
    file = galaxy.catalogue_file(pin)
    return is_there(file) and Digest.of(read_bounded(file, MAX_CATALOGUE_BYTES)) == pin.digest


def demand_catalogue(galaxy: GalaxyFolder, index: GalaxyIndex) -> None:
    """Raise `Refused` if the index names a catalogue that the folder does not have: it must not be signed."""
    if index.catalogue is not None and not has_catalogue(galaxy, index.catalogue):
        raise Refused(
            str(galaxy.catalogue_file(index.catalogue)),
            "is missing or was changed, but the index names it",
            hint=f"to write it again: stellar index-galaxy {quoted(galaxy.root)} --key GALAXY.key",
        )


def write_catalogue(galaxy: GalaxyFolder, data: bytes) -> None:
    """Write a catalogue durably, unless it is there."""
    pin = CataloguePin.of(data)
    if not has_catalogue(galaxy, pin):
        make_folder(galaxy.catalogue_file(pin).parent)
        write_durably(galaxy.catalogue_file(pin), data)


def remove_old_catalogues(galaxy: GalaxyFolder, seq: int) -> None:
    """Remove the catalogues that neither the published index `seq`, nor the one before or after it, names.

    The `KEPT` that were written last stay.
    """
    files = sorted((galaxy.root / "catalogues").glob("*.toml"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    old = files[:-KEPT]
    if not old:
        return
    pins = [index.catalogue for index in _indexes(galaxy, seq)]
    wanted = {galaxy.catalogue_file(pin).name for pin in pins if pin is not None}
    for file in old:
        if file.name not in wanted:
            file.unlink()


def _indexes(galaxy: GalaxyFolder, seq: int) -> Iterable[GalaxyIndex]:
    for number in (seq - 1, seq, seq + 1):
        file = galaxy.snapshot_file(number)
        if is_there(file):
            yield parsed_index(read_bounded(file, MAX_INDEX_BYTES), str(file))
