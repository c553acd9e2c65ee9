"""Publish an index in one step: a reader at any moment, and a kill at any moment, meets the old or the new state.

In this order, under the galaxy's lock:

  1. the statements and archives that the index names are written before
  2. write `snapshots/SEQ.toml`, then `SEQ.toml.dsse`; no reader asks for this number yet
  3. **rename `meta.toml` into place: now the index is published**
  4. copy `snapshots/SEQ.toml.dsse` to `meta.toml.dsse`

Between 3 and 4, `meta.toml` has no signature of its bytes beside it. A reader then takes `snapshots/SEQ.toml.dsse`
(staging.source). Before 3, the galaxy is unchanged for readers. After a kill, the next run finishes the work.

**Waiting for signatures.** Readers that trust a galaxy's keys would refuse an index with fewer signatures than the one
before. So an index with fewer signatures stops after step 2. It waits until the other keys have signed it
(`stellar sign FOLDER`), or until the maintainer says that fewer are enough.

KNOWN GAP: upstream's program reads `meta.toml` and `stars/NAME.toml`. No single step can change both; `stars/NAME.toml`
follows after 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_INDEX_BYTES, demand_within
from cosmos.model.galaxy import GalaxyIndex
from cosmos.plain_toml import plain_text
from cosmos.reading import envelope_of, holds, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.stellar.catalogues import write_catalogue
from cosmos.stellar.galaxy_folder import GalaxyFolder, parsed_index
from cosmos.stellar.signing import signatures_over
from cosmos.trust.dsse import assemble
from cosmos.trust.roles import GALAXY_TYPE

Fewer: TypeAlias = Literal["wait", "publish"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """A written index. `missing` is the number of signatures that it waits for; 0 if it is published."""

    digest: Digest
    signed: int
    missing: int


def publish(
    galaxy: GalaxyFolder,
    index: GalaxyIndex,
    keys: Sequence[SecretKey],
    fewer: Fewer,
    catalogue: bytes | None = None,
) -> Publication:
    """Write `index` as the galaxy's newest, signed with `keys`. Earlier signatures over the same bytes are kept.

    The new `catalogue` that the index names is written before it; None: it is there already.

    The caller holds the galaxy's lock. Raises `Refused` for an index that is too large for its readers.
    """
    data = _bytes_of(galaxy, index)
    demand_within(len(data), MAX_INDEX_BYTES, str(galaxy.index_file), hint="make a second galaxy for some of the stars")
    if catalogue is not None:
        write_catalogue(galaxy, catalogue)
    snapshot = galaxy.snapshot_file(index.seq)
    before = [*signatures_over(snapshot, GALAXY_TYPE, data), *signatures_over(galaxy.index_file, GALAXY_TYPE, data)]
    added = [key.signature(GALAXY_TYPE, data) for key in keys]
    signatures = {one.keyid: one for one in (*before, *added)}
    _write(snapshot, data)
    envelope = assemble(GALAXY_TYPE, data, signatures.values()) if signatures else None
    if envelope is not None:
        _write(envelope_of(snapshot), envelope)
    missing = 0 if fewer == "publish" else _signed_now(galaxy, data) - len(signatures)
    if missing <= 0:
        _commit(galaxy, data, envelope)
    return Publication(digest=Digest.of(data), signed=sum(one not in before for one in added), missing=max(0, missing))


def _bytes_of(galaxy: GalaxyFolder, index: GalaxyIndex) -> bytes:
    """Return the bytes of `index`: those of its file, if it is published or waiting."""
    for file in (galaxy.index_file, galaxy.snapshot_file(index.seq)):
        data = read_bounded(file, MAX_INDEX_BYTES) if is_there(file) else b""
        if data and parsed_index(data, str(file)) == index:
            return data
    return plain_text(index.to_toml()).encode()


def was_edited(galaxy: GalaxyFolder, index: GalaxyIndex) -> bool:
    """Return whether meta.toml is no longer the published `index`, of which the snapshot keeps the bytes.

    To sign other bytes under a number that readers have seen would be a fork: they refuse the galaxy for ever.
    """
    snapshot = galaxy.snapshot_file(index.seq)
    return is_there(snapshot) and not holds(snapshot, read_bounded(galaxy.index_file, MAX_INDEX_BYTES))


def waiting_index(galaxy: GalaxyFolder, index: GalaxyIndex) -> GalaxyIndex | None:
    """Return the index after `index` that was written but not yet published, or None."""
    file = galaxy.snapshot_file(index.seq + 1)
    if not is_there(file):
        return None
    found = parsed_index(read_bounded(file, MAX_INDEX_BYTES), str(file))
    return found if found.seq == index.seq + 1 else None


def _signed_now(galaxy: GalaxyFolder, data: bytes) -> int:
    """Return the number of signatures of the published index; 0 if `data` is that index."""
    now = read_bounded(galaxy.index_file, MAX_INDEX_BYTES)
    if now == data:
        return 0
    seq = parsed_index(now, str(galaxy.index_file)).seq
    places = (galaxy.index_file, galaxy.snapshot_file(seq))
    return max(len(signatures_over(file, GALAXY_TYPE, now)) for file in places)


def _commit(galaxy: GalaxyFolder, data: bytes, envelope: bytes | None) -> None:
    beside = envelope_of(galaxy.index_file)
    if envelope is None and is_there(beside):
        beside.unlink()  # of the index before, which its snapshot still has
    _write(galaxy.index_file, data)
    if envelope is not None:
        _write(beside, envelope)


def _write(file: Path, data: bytes) -> None:
    if not holds(file, data):
        write_durably(file, data)
