"""Write the record of a release that was just built (`image.kept_release`), if all of it can be known again.

A record must not say more than the build has verified. So the inputs that are small are looked at before the build and
after it, and the definition is read again: what changed meanwhile is not remembered. Statements, envelopes, archives
and the files of the release are not read again: the record has the digests that the build found, so that the next look
notices what was exchanged since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.image.definition import Definition, read_definition
from cosmos.image.kept_release import ABSENT, Kept, Place, Places, absolute, kept_as, kept_key, looked_at, write_kept
from cosmos.image.template_folder import IMAGE_FILE, template_folder
from cosmos.image.vendored_definition import packed_digest
from cosmos.image.world import World
from cosmos.model.lock import LOCK_FILE
from cosmos.reading import ENVELOPE_SUFFIX
from cosmos.records import dataclass
from cosmos.staging.source import INDEX_FILE, Source, statement_path
from cosmos.stamps import Seen
from cosmos.store.blobs import blob_path
from cosmos.transport.local import LocalCarrier
from cosmos.transport.opening import galaxy_folder
from cosmos.trust.chain import CHAIN_FOLDER, step_file

if TYPE_CHECKING:
    from cosmos.image.flow import Built  # a freeze needs no other part of a build

_ENVELOPE: Final = ENVELOPE_SUFFIX


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What was seen of the small inputs before the build.

    `following` is the path of the trust.toml that would follow the accepted one, "" without pinned keys.
    """

    places: Places
    galaxies: Mapping[str, tuple[str, str, str]]
    remotes: Mapping[str, str]
    following: str
    rows: Mapping[Place, Seen]

    def again(self) -> Mapping[Place, Seen] | None:
        """Return what is to be seen of them now, or None if something changed."""
        after = looked_at(self.places, _small(self.places, self.galaxies))
        is_same = after.keys() == self.rows.keys() and all(
            after[at].what == seen.what for at, seen in self.rows.items()
        )
        return after if is_same else None


def before_build(
    definition: Definition, world: World, home: Path, out: Path, settled: int, known: Mapping[Place, Seen]
) -> Before | None:
    """Look at the small inputs; None for an image whose release is not remembered.

    `known` is what an earlier build saw of the files.
    """
    if world.offline or definition.image.policy.vouching:
        return None
    carriers: dict[str, LocalCarrier] = {}
    ways: dict[str, str] = {}
    sources: dict[str, Source] = {}
    for asked in definition.image.galaxies:
        source = world.source(asked.name, asked.url, definition.folder)
        if source.carrier is None or source.is_vendored:
            return None
        if isinstance(source.carrier, LocalCarrier):
            carriers[asked.name] = source.carrier
            ways[asked.name] = str(galaxy_folder(asked.url, Path()))
        else:
            sources[asked.name] = source
    trusted = world.locked_trust
    following = "" if trusted.digest is None else f"{CHAIN_FOLDER}/{step_file(trusted.version + 1)}"
    template = template_folder(definition.folder, definition.image.template)
    places = Places(
        image=definition.folder,
        home=home,
        out=out,
        template=template,
        galaxies=carriers,
        settled=settled,
        known=known,
        sources=sources,
    )
    if places.follows_links():
        return None
    galaxies = {name: (absolute(Path(one.address)), following, ways[name]) for name, one in carriers.items()}
    small = tuple(_small(places, galaxies))
    if any("\udc80" <= char <= "\udcff" for _, path in small for char in path):
        return None  # a file beside trust.toml whose name is not UTF-8: no record can name it
    remotes = {str(asked.name): asked.url for asked in definition.image.galaxies if asked.name in sources}
    rows = looked_at(places, small)
    return Before(places=places, galaxies=galaxies, remotes=remotes, following=following, rows=rows)


def remember(
    before: Before, definition: Definition, built: Built, world: World, terms: str, remarks: Mapping[str, Json]
) -> bool:
    """Keep the record of the release; return False if something changed during the build, or cannot be known again."""
    places = before.places
    galaxies = {galaxy.name: galaxy for galaxy in built.ready.lock.galaxies}
    if built.acquired.accepted or any(not galaxy.seq for galaxy in galaxies.values()):
        return False  # an index without a seq lists no statements: they were made from the archives
    after = before.again()
    if after is None:
        return False
    wanted = _wanted(places, definition, built)
    rows = {
        place: places.look(place) if digest is None else places.assumed(place, digest)
        for place, digest in wanted.items()
    }
    lock = {name: Digest.of(data).hex for name, data in built.ready.lock_files.items()}
    for name, digest in lock.items():
        if after["image", name].what.split(" ")[0] != digest:
            return False
    if packed_digest(read_definition(definition.folder, definition.given)) != packed_digest(definition):
        return False
    kept = Kept(
        terms=terms,
        template=definition.image.template,
        folder=absolute(places.template),
        content_root=str(built.content_root),
        remarks=remarks,
        galaxies=before.galaxies,
        remotes=before.remotes,
        rows={**after, **rows, **_unasked(before)},
    )
    write_kept(world.made, kept_key(definition.folder, places.out), kept)
    return True


def _unasked(before: Before) -> dict[Place, Seen]:
    """Return what the build asked the remote galaxies for, last. If one had had it, the build would not be here."""
    names = before.remotes if before.following else ()
    return {(f"remote {name}", before.following): Seen(what=ABSENT, stat="") for name in names}


def _wanted(places: Places, definition: Definition, built: Built) -> dict[Place, str | None]:
    """Return every other file with the digest that the build found; None for one to be read again."""
    wanted: dict[Place, str | None] = dict.fromkeys(of_definition(places, definition))
    wanted |= {
        (f"kept {galaxy.name}", str(galaxy.index)): None
        for galaxy in built.ready.lock.galaxies
        if galaxy.name in places.sources
    }
    for item in built.acquired.stars.values():
        if item.star.galaxy in places.sources:
            kept = kept_as(item.star.statement, item.envelope)
            wanted[f"kept {item.star.galaxy}", str(item.star.statement)] = kept
            wanted["store", blob_path(item.star.archive)] = item.star.archive.hex
            continue
        where = f"galaxy {item.star.galaxy}"
        statement = statement_path(item.stem)
        wanted[where, statement] = item.star.statement.hex
        wanted[where, statement + _ENVELOPE] = ABSENT if item.envelope is None else item.envelope.hex
        wanted[where, item.star.file] = item.star.archive.hex
    wanted |= {("out", name): written.digest.hex for name, written in built.written.items()}
    return wanted


def of_definition(places: Places, definition: Definition) -> Iterator[Place]:
    """Yield every file of the definition and of its template."""
    named = (IMAGE_FILE, *definition.bases, *definition.constellation_files)
    yield from (("image", name) for name in (*named, definition.image.finish, definition.image.trust) if name)
    yield from (("template", path) for path in places.listed("template"))


def _small(places: Places, galaxies: Mapping[str, tuple[str, str, str]]) -> Iterator[Place]:
    """Yield the lock and its signature, the keys and the memory of the home, and the index of each galaxy."""
    yield from (("image", LOCK_FILE), ("image", LOCK_FILE + _ENVELOPE))
    yield from (("home", path) for path in places.listed("home"))
    for name, (_, following, _) in galaxies.items():
        yield from ((f"galaxy {name}", path) for path in (INDEX_FILE, INDEX_FILE + _ENVELOPE, following) if path)
