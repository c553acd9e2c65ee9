"""`universe.toml`: the stars installed on one system (upstream's format, and our own fields).

The file is `/var/lib/cosmos/universe.toml` of the system. This is format 2:

    universe-version = 2               # ours; the first key. Without it: format 1

    [system]
    arch = "x86_64"
    version = "1.0.0"                  # of the image, or as given to `cosmos init`
    image = "rescue"                   # ours; "" if no image made the system
    content-root = "sha256:…"          # ours; of the base system as built without this file; "" if unknown

    [layer.template]                   # ours: what the image itself brought, besides its stars
    entries = ["file 0644 0 0 7 1700000000 sha256:… - - - etc/hostname -"]

    [installed.zlib]
    version = "1.3.1"
    version-scheme = "debian"          # ours; left out if it is "semver"
    files = ["/usr/lib/libz.so.1"]     # upstream's list: all paths but the folders, in their text form (see treepath)
    galaxy = "core"                    # ours, from here on
    archive = "sha256:…"
    arch = "x86_64"
    type = "normal"
    dependencies = ["glibc-runtime"]   # the stars that were chosen for its needs
    asked-by = ["image"]               # image, user, constellation:NAME
    needed-by = ["nano"]               # the stars that need it

    size-bytes = 61234                 # from the statement: all of these eight keys, or none of them
    script = "sha256:…"                # of its install script; "" if it has none
    license = "Zlib"
    origins = ["deb zlib1g 1:1.2.13 sha256:…"]         # ecosystem, name, version, digest
    needs = ["glibc-runtime >=2.36"]   # these four as in a lock (model.facts)
    provides = []
    conflicts = []
    stands-for = []

    url = "https://galaxy.example/core"    # where it was published: these three keys, or none of them
    statement = "sha256:…"
    signers = ["ed25519:…"]

    entries = ["symlink 0777 0 0 0 1700000000 - - - - usr/lib/libz.so.1 >libz.so.1.3.1"]

An entry is one line of text for each path and each folder that the star names (model.installed_entry). The lines are
read when a command asks for them (model.read_later), and written again as they were read.

The layers are `template` (the template of the image, and the trust anchors that image.toml names) and `finish` (what
the finish script wrote or changed). `url` is the galaxy's address as the system's configuration has it, without
credentials. An image records no `url`, `statement` and `signers`, because its bytes do not depend on who signed
(decision 0026).

**Other formats.** A reader of format 2 reads format 1, which has no `universe-version`: upstream's, and that of Cosmos
0.1 (model.first_universe). Facts that format 1 lacks are absent here. The next command that writes the file writes
format 2. A newer format is refused, because a reader that drops what it does not know would lose it at the next
writing. So a program that cannot read this format must not come to this system: a star `cosmos` says in its star.toml
how far it reads, as `[provides] universe-format = "2.0.0"`. A star `cosmos` without it reads format 1.

Upstream's universes have neither `entries` nor galaxy. Such a star is listed as installed, and `verify` says that it
cannot judge it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Final, Self, TypeVar

from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES, MAX_UNIVERSE_BYTES, MAX_UNIVERSE_RATIO
from cosmos.model.facts import Facts
from cosmos.model.first_universe import FirstStar
from cosmos.model.installed_entry import InstalledEntry, slashed, with_slash
from cosmos.model.line_fields import field as as_field
from cosmos.model.line_fields import unfield
from cosmos.model.names import ANY_ARCH, Arch, StarName, reason_of
from cosmos.model.read_later import ReadLater, texts_of
from cosmos.model.star import Origin
from cosmos.model.version import SemVer, Version, read_version, version_rows
from cosmos.plain_toml import plain_text
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.treepath import TreePath

T = TypeVar("T")
UNIVERSE_PATH = TreePath(b"var/lib/cosmos/universe.toml")
UNIVERSE_VERSION: Final = 2
PROGRAM: Final = StarName("cosmos")  # the star that is this program
FORMAT_NAME: Final = StarName("universe-format")  # what it provides, in the version that it reads
LAYERS: Final = ("template", "finish")
_ABOUT: Final = ("size-bytes", "script", "license", "origins", "needs", "provides", "conflicts", "stands-for")
_PUBLISHED: Final = ("url", "statement", "signers")
_ORIGIN_FIELDS: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What the star's statement says of it."""

    size_bytes: int
    script: Digest | None
    license: str
    origins: tuple[Origin, ...]
    facts: Facts

    @classmethod
    def read(cls, table: Table, arch: Arch) -> Self:
        """Return the eight keys, each of which must be present."""
        table.need("origins", list)
        return cls(
            size_bytes=table.count("size-bytes", most=MAX_STAR_ARCHIVE_BYTES),
            script=table.read("script", _digest_or_none),
            license=table.need("license", str),
            origins=table.parsed_strings("origins", _origin),
            facts=Facts.read(table, arch),
        )

    def to_toml(self) -> dict[str, object]:
        """Return the keys as `tomli_w` takes them."""
        return {
            "size-bytes": self.size_bytes,
            "script": str(self.script or ""),
            "license": self.license,
            "origins": [_origin_text(origin) for origin in self.origins],
            **self.facts.to_toml(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Where the star was published when it was installed, and who had signed it."""

    url: str
    statement: Digest
    signers: tuple[str, ...]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the three keys, each of which must be present."""
        table.need("signers", list)
        return cls(
            url=table.need("url", str),
            statement=table.read("statement", Digest.parse),
            signers=table.strings("signers"),
        )

    def to_toml(self) -> dict[str, object]:
        """Return the keys as `tomli_w` takes them."""
        return {"url": self.url, "statement": str(self.statement), "signers": list(self.signers)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """One installed star. `galaxy` and `archive` are None if upstream's program recorded it.

    `files` are its paths without the folders. `entries` are these paths and all folders that it names; none if upstream
    recorded the star. `about` is None if it was recorded in format 1, and `published` besides if it came with an image.
    """

    version: Version
    files: Sequence[TreePath]
    galaxy: str | None = None
    archive: Digest | None = None
    arch: Arch = ANY_ARCH
    type: str = "normal"
    dependencies: tuple[StarName, ...] = ()
    asked_by: tuple[str, ...] = ()
    needed_by: tuple[StarName, ...] = ()
    about: About | None = None
    published: Published | None = None
    entries: Sequence[InstalledEntry] = ()

    @property
    def wanted_by(self) -> tuple[str, ...]:
        """Who wants it, as a lock says it: those who asked for it, then the stars."""
        return (*self.asked_by, *map(reason_of, self.needed_by))

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[installed.NAME]` table."""
        arch = table.take_read("arch", Arch.parse, ANY_ARCH)
        installed = cls(
            version=read_version(table),
            files=_read_later(table, "files", slashed),
            galaxy=table.take("galaxy", str),
            archive=table.take_read("archive", Digest.parse),
            arch=arch,
            type=table.take("type", str, "normal"),
            dependencies=table.parsed_strings("dependencies", StarName.parse),
            asked_by=table.strings("asked-by"),
            needed_by=table.parsed_strings("needed-by", StarName.parse),
            about=About.read(table, arch) if any(key in table for key in _ABOUT) else None,
            published=Published.read(table) if any(key in table for key in _PUBLISHED) else None,
            entries=_read_later(table, "entries", InstalledEntry.parse),
        )
        table.end()
        return installed

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        rows = {**version_rows(self.version), "files": texts_of(self.files, with_slash)}
        if self.galaxy is not None and self.archive is not None:
            rows |= {"galaxy": self.galaxy, "archive": str(self.archive)}
        rows |= {
            "arch": str(self.arch),
            "type": self.type,
            "dependencies": [str(name) for name in self.dependencies],
            "asked-by": list(self.asked_by),
            "needed-by": [str(name) for name in self.needed_by],
            **({} if self.about is None else self.about.to_toml()),
            **({} if self.published is None else self.published.to_toml()),
            "entries": texts_of(self.entries, _line),
        }
        return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Universe:
    """Everything that is installed on one system. `layers` are the entries that the image itself brought."""

    arch: Arch
    version: str
    image: str = ""
    content_root: Digest | None = None
    installed: Mapping[StarName, Installed] = field(default_factory=dict)
    layers: Mapping[str, Sequence[InstalledEntry]] = field(default_factory=dict)

    @property
    def versions(self) -> dict[StarName, Version]:
        """The version of each installed star."""
        return {name: star.version for name, star in self.installed.items()}

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the universe in `data`; raises `Malformed`."""
        table = Table.parse(data, source, max_bytes=MAX_UNIVERSE_BYTES, ratio=MAX_UNIVERSE_RATIO)
        form = _format_of(table)
        system, rows = table.table("system"), table.take_table("installed")
        layers = table.take_table("layer") if form > 1 else None
        universe = cls(
            arch=system.read("arch", Arch.parse),
            version=system.need("version", str),
            image=system.take("image", str, ""),
            content_root=system.take_read("content-root", _digest_or_none),
            installed={}
            if rows is None
            else {_star_name(rows, name): _installed(rows.table(name), form) for name in rows.keys()},
            layers={} if layers is None else _layers(layers),
        )
        system.end()
        table.end()
        return universe

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        layers = {name: {"entries": texts_of(self.layers[name], _line)} for name in LAYERS if name in self.layers}
        return {
            "universe-version": UNIVERSE_VERSION,
            "system": {
                "arch": str(self.arch),
                "version": self.version,
                "image": self.image,
                "content-root": str(self.content_root or ""),
            },
            **({"layer": layers} if layers else {}),
            "installed": {str(name): star.to_toml() for name, star in sorted(self.installed.items())},
        }

    def rendered(self) -> bytes:
        """Return the document."""
        return plain_text(self.to_toml()).encode()


def format_read_by(facts: Facts) -> int:
    """Return up to which format a star `cosmos` with these facts reads a universe.

    >>> format_read_by(Facts()), format_read_by(Facts(provides={FORMAT_NAME: (Version.parse("2.0.0"),)}))
    (1, 2)
    """
    versions = facts.provides.get(FORMAT_NAME, ())
    return max((version.major for version in versions if isinstance(version, SemVer)), default=1)


def demand_reader(name: StarName, version: Version, facts: Facts, hint: str) -> None:
    """Raise `NoSolution` for a star `cosmos` that could not read the universe that this program writes."""
    reads = format_read_by(facts)
    if name == PROGRAM and reads < UNIVERSE_VERSION:
        raise NoSolution(
            f"{name} {version}",
            f"reads universe.toml up to format {reads}, but the universe would have format {UNIVERSE_VERSION}",
            hint=hint,
        )


def _format_of(table: Table) -> int:
    """Return the format of the document; raises `BadKey` for one that this program does not know."""
    if "universe-version" not in table:
        return 1
    form = table.count("universe-version", least=2)
    if form > UNIVERSE_VERSION:
        table.fail(
            "universe-version",
            f"want at most {UNIVERSE_VERSION}, got {form}: a newer cosmos wrote this file",
            hint=f"use {_program_that_wrote(table)}, or a newer one",
        )
    return form


def _program_that_wrote(table: Table) -> str:
    """Return how to get a program that reads a newer format."""
    try:
        version = table.table("installed").table(PROGRAM).need("version", str)
    except Malformed:
        return "the cosmos that wrote it"
    return f"the cosmos that is installed on this system, {version[:80]}"


def _installed(table: Table, form: int) -> Installed:
    if form > 1:
        return Installed.read(table)
    first = FirstStar.read(table)
    return Installed(
        version=first.version,
        files=first.files,
        galaxy=first.galaxy,
        archive=first.archive,
        arch=first.arch,
        type=first.type,
        dependencies=first.dependencies,
        asked_by=first.asked_by,
        needed_by=first.needed_by,
        entries=first.entries,
    )


def _layers(table: Table) -> dict[str, Sequence[InstalledEntry]]:
    layers: dict[str, Sequence[InstalledEntry]] = {}
    for name in LAYERS:
        layer = table.take_table(name)
        if layer is not None:
            layers[name] = _read_later(layer, "entries", InstalledEntry.parse)
            layer.end()
    table.end()
    return layers


def _read_later(table: Table, key: str, read: Callable[[str], T]) -> ReadLater[T]:
    return ReadLater(table.strings(key), read, table.source, table.dotted(key))


def _line(entry: InstalledEntry) -> str:
    return entry.line


def _digest_or_none(text: str) -> Digest | None:
    return Digest.parse(text) if text else None


def _origin(text: str) -> Origin:
    parts = text.split(" ")
    if len(parts) != _ORIGIN_FIELDS:
        raise ValueError(f"want the {_ORIGIN_FIELDS} fields ecosystem name version digest, got {len(parts)}")
    ecosystem, name, version = (unfield(part).decode() for part in parts[:-1])
    return Origin(ecosystem=ecosystem, name=name, version=version, digest=Digest.parse(parts[-1]))


def _origin_text(origin: Origin) -> str:
    said = (as_field(text.encode()) for text in (origin.ecosystem, origin.name, origin.version))
    return f"{' '.join(said)} {origin.digest}"


def _star_name(table: Table, name: str) -> StarName:
    try:
        return StarName.parse(name)
    except ValueError as error:
        table.fail(name, str(error))
