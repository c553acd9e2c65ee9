"""What a home remembers of the release that it built last into a folder, so that a build can see that nothing changed.

`cosmos build` first looks at this record. If every input and every file of the release is as it was, the build ends and
changes nothing: that is quicker by far than to make the same once more. The record lies in the store, sealed
(`store.sealed`), under the paths of the image and of the release:

    {"format": 3, "terms": …,                   the digest of the terms: the program, the options, the machine
     "template": …, "folder": …,                the name of the template, and its folder
     "content-root": …, "remarks": …,           for the answer: what the caller wants to say again
     "galaxies": {NAME: [FOLDER, NEXT, WAY]},   each local galaxy, the path of the trust.toml that would follow, and
                                                how image.toml names the folder: a link on the way may be exchanged
     "remotes": {NAME: ADDRESS},                each galaxy that is reached by a network
     "rows": [[PLACE, PATH, WHAT, STAT], …]}    every file, by place and path

A place is `image`, `template`, `home`, `out`, or `galaxy NAME`. Of a template, the record has all that a build reads:
template.toml, and every path below root/, also if one of the two is a link to elsewhere. WHAT is a file's SHA-256 and
mode, a link's target, or that there is no such file. STAT is the stamp of a file that was hashed (`stamps`).

Of a remote galaxy, a build takes what the store has. So its archives have the place `store`; its index and statements
have `kept NAME`, with the digests of a document and of its envelope for WHAT. The place `remote NAME` is the galaxy
itself: a build asks it for one file, the trust.toml that would follow, and this look asks for it, too.

Every file is hashed at each look. With `trusts_stat`, a file with the recorded STAT is not read.

Only what was verified is remembered: the record is written after a build that verified every star and warned of
nothing, and only if no input changed meanwhile (`remembering`). What the record cannot know makes a build begin as
usual: secrets, a policy that asks logs or badges. docs/decisions/0041 has the rules.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from cosmos.canon import Json, canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Refused, WorldFailed
from cosmos.image.template_folder import DECLARATIONS_FILE, ROOT_FOLDER, template_folder
from cosmos.limits import MAX_ENVELOPE_BYTES, MAX_STORED_BYTES
from cosmos.model.release import RELEASE_ENVELOPE
from cosmos.records import dataclass
from cosmos.stamps import Seen, seen_now, stamp, stamped_bytes
from cosmos.store.interface import Store
from cosmos.transport.carrier import NotThere
from cosmos.transport.local import LocalCarrier

if TYPE_CHECKING:
    from cosmos.staging.source import Source

FORMAT: Final = 3
ABSENT: Final = "absent"
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The record of a release."""

    terms: str
    template: str
    folder: str
    content_root: str
    remarks: Mapping[str, Json]
    galaxies: Mapping[str, tuple[str, str, str]]
    remotes: Mapping[str, str]
    rows: Mapping[Place, Seen]

    def names(self, place: str) -> frozenset[str]:
        """Return the paths of a place that exist."""
        return frozenset(path for (where, path), seen in self.rows.items() if where == place and seen.what != ABSENT)

    def to_bytes(self) -> bytes:
        """Return the record as it is kept."""
        rows: list[Json] = [[*place, seen.what, seen.stat] for place, seen in self.rows.items()]
        return canonical_json(
            {
                "format": FORMAT,
                "terms": self.terms,
                "template": self.template,
                "folder": self.folder,
                "content-root": self.content_root,
                "remarks": dict(self.remarks),
                "galaxies": {name: [*row] for name, row in self.galaxies.items()},
                "remotes": dict(self.remotes),
                "rows": rows,
            }
        )


def kept_key(image: Path, out: Path) -> Digest:
    """Return the key of the record for the image in the folder `image` and the release at `out`."""
    return digest_of({"what": "kept-release", "image": absolute(image), "out": absolute(out)})


def frozen_key(image: Path) -> Digest:
    """Return the key of the record for the lock of the image in the folder `image`."""
    return digest_of({"what": "kept-lock", "image": absolute(image)})


def read_kept(store: Store, key: Digest) -> Kept | None:
    """Return the record, or None if the sealed store has none of this format. Raises `NotSealed`."""
    data = store.get_result(key)
    if data is None:
        return None
    found = json.loads(data)  # this home wrote it, or the seal would be broken
    if found["format"] != FORMAT:
        return None
    return Kept(
        terms=found["terms"],
        template=found["template"],
        folder=found["folder"],
        content_root=found["content-root"],
        remarks=found["remarks"],
        galaxies={name: (folder, following, way) for name, (folder, following, way) in found["galaxies"].items()},
        remotes=found["remotes"],
        rows={(place, path): Seen(what=what, stat=seen) for place, path, what, seen in found["rows"]},
    )


def write_kept(store: Store, key: Digest, kept: Kept) -> None:
    """Keep the record, if the store can be written: the release is complete without it."""
    with suppress(WorldFailed, Refused):  # Refused: it would be too long
        store.put_result(key, kept.to_bytes())


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the files are, and how they are looked at. `settled` is a time before which a change is old enough.

    `sources` are the remote galaxies. A lock `has_release` false: what is at `out` does not count.
    """

    image: Path
    home: Path
    out: Path
    template: Path
    galaxies: Mapping[str, LocalCarrier]
    settled: int
    known: Mapping[Place, Seen] = field(default_factory=dict)
    trusts_stat: bool = False
    sources: Mapping[str, Source] = field(default_factory=dict)
    has_release: bool = True

    def look(self, place: Place, wanted: Seen | None = None) -> Seen:
        """Return what is at a place now. A file that cannot be read is told by what the system says of it.

        A file that is longer than the `wanted` one is another one, and is not read.
        """
        where, path = place
        try:
            if where.startswith("galaxy "):
                with self.galaxies[where.removeprefix("galaxy ")].opened(path) as number:
                    return self._seen(number, place, wanted)
            if where.startswith("kept "):
                return self._kept(where.removeprefix("kept "), path)
            if where.startswith("remote "):
                return self._asked(where.removeprefix("remote "), path)
            file = self._root(where) / path
            facts = file.lstat()
            if stat.S_ISLNK(facts.st_mode) and where in ("template", "out") and path != DECLARATIONS_FILE:
                return Seen(what=f"link to {os.fsencode(file.readlink()).hex()}", stat="")
            number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            return Seen(what=ABSENT, stat="")
        except OSError as error:
            return Seen(what=f"error {error.errno}", stat="")
        except CosmosError as error:
            return Seen(what=ABSENT if _is_absent(error) else f"error {error}", stat="")
        try:
            return self._seen(number, place, wanted)
        finally:
            os.close(number)

    def assumed(self, place: Place, digest: str) -> Seen:
        """Return what is to be at a place, by the digest that the build found; only its stat is looked at now.

        The stat is kept if it is the one of a file of `known` with this digest: it belongs to bytes that were hashed.
        """
        if digest == ABSENT:
            return Seen(what=ABSENT, stat="")
        where, path = place
        if where.startswith("kept "):
            return Seen(what=digest, stat="")
        try:
            if where.startswith("galaxy "):
                with self.galaxies[where.removeprefix("galaxy ")].opened(path) as number:
                    about = os.fstat(number)
            else:
                about = (self._root(where) / path).lstat()
        except (OSError, CosmosError):
            return Seen(what=f"{digest} 0", stat="")
        seen = Seen(what=f"{digest} {about.st_mode:o}", stat=stamp(about))
        return seen if self.known.get(place) == seen else Seen(what=seen.what, stat="")

    def listed(self, where: str) -> Iterator[str]:
        """Yield the path of each file and link of the template, of the home's trust or of the release, sorted.

        An empty folder of the template or of the release is listed, too, with a slash at its end.
        """
        base = self.home if where == "home" else self._root(where)
        root = {"home": base / "trust", "out": base, "template": base / ROOT_FOLDER}[where]
        if where == "template":
            yield DECLARATIONS_FILE
        for folder, folders, files in sorted(os.walk(root)):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted([*files, *links]):
                if where == "home" and name == "lock":
                    continue
                yield Path(folder, name).relative_to(base).as_posix()
            if where != "home" and not files and not folders:
                yield f"{Path(folder).relative_to(base).as_posix()}/"

    def follows_links(self) -> bool:
        """Return whether a folder of the home's trust is a link: what is behind it is not looked at."""
        walk = sorted(os.walk(self.home / "trust"))
        return any(Path(folder, name).is_symlink() for folder, folders, _ in walk for name in folders)

    def _root(self, where: str) -> Path:
        if where == "store":
            return self.home / "store"
        return {"image": self.image, "home": self.home, "out": self.out, "template": self.template}[where]

    def _kept(self, galaxy: str, digest: str) -> Seen:
        file = self.sources[galaxy].kept_file(Digest.parse(digest))
        if file is None:
            return Seen(what=ABSENT, stat="")
        return Seen(what=kept_as(file.digest, None if file.envelope is None else Digest.of(file.envelope)), stat="")

    def _asked(self, galaxy: str, path: str) -> Seen:
        """Ask a remote galaxy for a file. A galaxy that is away has none: `demand_newest_trust` says the same."""
        carrier = self.sources[galaxy].carrier
        try:
            data = b"" if carrier is None else carrier.read(path, max_bytes=MAX_ENVELOPE_BYTES)
        except WorldFailed:
            return Seen(what=ABSENT, stat="")
        return Seen(what=str(Digest.of(data)), stat="")

    def _seen(self, number: int, place: Place, wanted: Seen | None) -> Seen:
        believed = self.known.get(place) if self.trusts_stat else None
        most_bytes = stamped_bytes(wanted)
        if most_bytes is None and place[0] != "out":
            most_bytes = MAX_STORED_BYTES  # no input is larger; an image may be
        return seen_now(number, self.settled, believed, most_bytes)


def unchanged(kept: Kept, places: Places) -> dict[Place, Seen] | str:
    """Return every row as it is seen now, if no file has changed; else a sentence: what has changed first."""
    try:
        folder = absolute(template_folder(places.image, kept.template))
    except CosmosError as error:
        return str(error)
    if folder != kept.folder:
        return "the template's folder"
    for name, (folder, _, way) in kept.galaxies.items():
        if absolute(places.image / way) != folder:
            return f"galaxy {name}: its folder"
    for where in ("template", "home", *(("out",) if places.has_release else ())):
        now = frozenset(places.listed(where))
        before = kept.names(where)
        if where == "out" and RELEASE_ENVELOPE in now - before and _holds_signature(places.out):
            now -= {RELEASE_ENVELOPE}  # an unsigned build keeps a signature that is there
        if now != before:
            return f"{where}: {min(now ^ before)}"
    rows: dict[Place, Seen] = {}
    for place, seen in kept.rows.items():
        rows[place] = places.look(place, seen)
        if rows[place].what != seen.what:
            return f"{place[0]}: {place[1]}"
    return rows


def by_stat(known: Mapping[Place, Seen], galaxy: str, carrier: LocalCarrier) -> Callable[[str, Digest], bool]:
    """Return whether a file of a local galaxy has the stat that it had when it was hashed, and had this digest."""

    def is_unchanged(path: str, digest: Digest) -> bool:
        seen = known.get((f"galaxy {galaxy}", path))
        if seen is None or not seen.stat or seen.what.split(" ")[0] != digest.hex:
            return False
        try:
            with carrier.opened(path) as number:
                return stamp(os.fstat(number)) == seen.stat
        except (OSError, CosmosError):
            return False  # whoever reads it says why

    return is_unchanged


def kept_as(document: Digest, envelope: Digest | None) -> str:
    """Return what a record says of a document and its envelope in the store."""
    return f"{document.hex} {ABSENT if envelope is None else envelope.hex}"


def looked_at(places: Places, wanted: Iterable[Place]) -> dict[Place, Seen]:
    """Return what is at each place now."""
    return {place: places.look(place) for place in wanted}


def terms_digest(terms: Mapping[str, Json]) -> str:
    """Return the digest of all that a release depends on besides files."""
    return str(digest_of(dict(terms)))


def absolute(path: Path) -> str:
    """Return the path without links, as text that JSON can hold."""
    return os.fsencode(path.resolve()).hex()


def _holds_signature(out: Path) -> bool:
    from cosmos.release.draft import holds_signature  # only for a release that was signed after it was built

    return holds_signature(out)


def _is_absent(error: CosmosError) -> bool:
    return isinstance(error, NotThere)
