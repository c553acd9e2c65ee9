"""Write the record of a lock that a freeze has just found unchanged: the next freeze may see that it would be so again.

The record is that of a release (`image.kept_release`) without a release: the definition with its template, the lock,
the home's keys and memory, and of each galaxy the index and every statement that the freeze read. Only a freeze that
changed nothing is remembered, because its lock was one of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.image.definition import Definition, read_definition
from cosmos.image.freeze import FrozenLock
from cosmos.image.kept_release import ABSENT, Kept, Place, absolute, frozen_key, looked_at, write_kept
from cosmos.image.remembering import Before, of_definition
from cosmos.image.vendored_definition import packed_digest
from cosmos.image.world import World
from cosmos.reading import ENVELOPE_SUFFIX
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import statement_path


def remember_lock(
    before: Before,
    definition: Definition,
    frozen: FrozenLock,
    world: World,
    terms: Callable[[], str],
    remarks: Mapping[str, Json],
) -> bool:
    """Keep the record of the lock; return False if something changed meanwhile, or cannot be known again."""
    places = before.places
    if frozen.changed or before.remotes or any(not galaxy.index.index.seq for galaxy in frozen.galaxies.values()):
        return False  # an index without a seq lists no statements: they were made from the archives
    after = before.again()
    if after is None:
        return False
    wanted: dict[Place, str] = {}
    for galaxy in frozen.galaxies.values():
        wanted |= _statements(galaxy)
    rows = looked_at(places, of_definition(places, definition))
    rows |= {place: places.assumed(place, digest) for place, digest in wanted.items()}
    if packed_digest(read_definition(definition.folder, definition.given)) != packed_digest(definition):
        return False
    kept = Kept(
        terms=terms(),
        template=definition.image.template,
        folder=absolute(places.template),
        content_root="",
        remarks=remarks,
        galaxies=before.galaxies,
        remotes={},
        rows={**after, **rows},
    )
    write_kept(world.made, frozen_key(definition.folder), kept)
    return True


def _statements(galaxy: OpenGalaxy) -> dict[Place, str]:
    """Return each statement that was read, and its envelope, with their digests: the store has what was verified."""
    found: dict[Place, str] = {}
    where = f"galaxy {galaxy.name}"
    for stem, digest in galaxy.statements_read().items():
        file = galaxy.source.kept_file(digest)
        path = statement_path(stem)
        found[where, path] = digest.hex
        envelope = None if file is None else file.envelope
        found[where, path + ENVELOPE_SUFFIX] = ABSENT if envelope is None else Digest.of(envelope).hex
    return found
