"""`universe.lock.toml`: every star pinned by version, size and digest, and the galaxy snapshot that it came from.

    lock-version = 2

    [request]                          # the wishes, so that a stale lock is found offline
    image = "rescue"
    arch = "x86_64"
    [request.stars]                    # wishes of the image and of its constellations, one table each
    busybox = "^1.35"
    [request.constellations.rescue-tools]
    nano = "*"
    [request.galaxies]
    core = "../../galaxy"

    [build]                            # everything else that can change bytes of the image
    cosmos = "0.1.0"
    zstd = "1.5.7"                     # the library's version
    layer-format = 1
    level = 9
    source-date-epoch = 1767225600

    [trust]                            # the trust.toml that it was locked under
    version = 3                        # 0 if no keys were pinned
    digest = "sha256:…"                # "" if no keys were pinned

    [[galaxy]]
    name = "core"
    url = "../../galaxy"
    version = "2026.11.22"
    seq = 7
    index = "sha256:…"                 # of meta.toml
    allow-unsigned = false

    [[star]]                           # in dependency order: each after what it depends on
    name = "zlib"
    version = "1.3.1"
    version-scheme = "semver"          # or "debian"
    arch = "x86_64"
    type = "normal"
    galaxy = "core"
    file = "packages/zlib-1.3.1.tar.zst"
    archive = "sha256:…"
    size-bytes = 61234
    unpacked-bytes = 153600
    statement = "sha256:…"             # of stars/zlib-1.3.1.toml
    script = "sha256:…"                # "" if it has no script
    signers = ["ed25519:…"]            # key ids that signed the statement; empty only in an allow-unsigned galaxy
    dependencies = []                  # names of stars, each listed before this one
    wanted-by = ["image"]              # image, constellation:NAME, or stars (names.reason_of)
    needs = []                         # from here on: what its statement says (model.facts), to judge the lock by
    provides = ["libz semver 1.3.1"]
    conflicts = []
    stands-for = []

Locks of version 1 lack `version-scheme` and the last four keys. Cosmos still reads and builds them, because a build
judges by the signed statements. It cannot judge them offline. The next `cosmos freeze` writes version 2. An older
cosmos, which reads version 1 alone, refuses version 2.

If `freeze` was allowed to choose lower versions, `[downgraded]` names these stars with the version before
(`zlib = "1.4.0"`).

No key has a default: a lock that leaves something out pins nothing. `[trust]` pins no byte of the image. It records
under which keys the lock was good when it was made. `universe.lock.toml.dsse` may sign these exact bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Self, cast

from cosmos.digest import Digest
from cosmos.limits import MAX_LOCK_BYTES, MAX_STAR_ARCHIVE_BYTES, MAX_STAR_UNPACKED_BYTES
from cosmos.model.addresses import demand_no_login
from cosmos.model.constraint import Constraint
from cosmos.model.facts import Facts
from cosmos.model.names import Arch, GalaxyName, ImageName, StarName
from cosmos.model.star import StarType
from cosmos.model.statement import manifest_path, package_path
from cosmos.model.version import Version, read_version
from cosmos.records import dataclass
from cosmos.tables import Table

LOCK_VERSION = 2
LOCK_FILE = "universe.lock.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The wishes that the lock was made for, as the image and its constellations state them."""

    image: ImageName
    arch: Arch
    stars: Mapping[StarName, Constraint]
    constellations: Mapping[str, Mapping[StarName, Constraint]]
    galaxies: Mapping[GalaxyName, str]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[request]` table."""
        sets = table.table("constellations")
        table.need("galaxies", dict)
        request = cls(
            image=table.read("image", ImageName.parse),
            arch=table.read("arch", Arch.parse),
            stars=_needed(table, "stars"),
            constellations={name: _needed(sets, name) for name in sets.keys()},
            galaxies=table.parsed_map("galaxies", GalaxyName.parse, demand_no_login),
        )
        table.end()
        return request

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "image": str(self.image),
            "arch": str(self.arch),
            "stars": _texts(self.stars),
            "constellations": {name: _texts(members) for name, members in sorted(self.constellations.items())},
            "galaxies": {str(name): url for name, url in self.galaxies.items()},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildPins:
    """Whatever moves the image's bytes besides its stars."""

    cosmos: str
    zstd: str
    layer_format: int
    level: int
    source_date_epoch: int

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[build]` table."""
        pins = cls(
            cosmos=table.need("cosmos", str),
            zstd=table.need("zstd", str),
            layer_format=table.count("layer-format"),
            level=table.count("level", least=1, most=22),
            source_date_epoch=table.count("source-date-epoch", most=(1 << 33) - 1),
        )
        table.end()
        return pins

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "cosmos": self.cosmos,
            "zstd": self.zstd,
            "layer-format": self.layer_format,
            "level": self.level,
            "source-date-epoch": self.source_date_epoch,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedTrust:
    """The trust anchors that a lock was made under; version 0 and no digest if no keys were pinned."""

    version: int
    digest: Digest | None

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[trust]` table."""
        trust = cls(version=table.count("version"), digest=table.read("digest", _digest_or_none))
        if (trust.version == 0) != (trust.digest is None):
            table.fail("digest", "want one of the version, and none of version 0")
        table.end()
        return trust

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"version": self.version, "digest": str(self.digest or "")}


NO_TRUST = LockedTrust(version=0, digest=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedGalaxy:
    """One snapshot of one galaxy."""

    name: GalaxyName
    url: str
    version: str
    seq: int
    index: Digest
    allow_unsigned: bool

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[[galaxy]]` table."""
        galaxy = cls(
            name=table.read("name", GalaxyName.parse),
            url=table.read("url", demand_no_login),
            version=table.need("version", str),
            seq=table.count("seq"),
            index=table.read("index", Digest.parse),
            allow_unsigned=table.need("allow-unsigned", bool),
        )
        table.end()
        return galaxy

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "name": str(self.name),
            "url": self.url,
            "version": self.version,
            "seq": self.seq,
            "index": str(self.index),
            "allow-unsigned": self.allow_unsigned,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedStar:
    """One star, pinned: the version chosen and the very bytes to install."""

    name: StarName
    version: Version
    arch: Arch
    type: StarType
    galaxy: GalaxyName
    file: str
    archive: Digest
    size_bytes: int
    unpacked_bytes: int
    statement: Digest
    script: Digest | None
    signers: tuple[str, ...]
    dependencies: tuple[StarName, ...]
    wanted_by: tuple[str, ...]
    facts: Facts | None  # None in a lock of version 1, which does not carry them

    @property
    def id(self) -> str:
        """NAME-VERSION, as in file names."""
        return f"{self.name}-{self.version}"

    @property
    def is_manifest_alone(self) -> bool:
        """Whether its archive is its `star.toml` itself: a nebula in a galaxy of upstream's format."""
        return self.type == "nebula" and self.file == manifest_path(self.name)

    @classmethod
    def read(cls, table: Table, lock_version: int) -> Self:
        """Return a `[[star]]` table of a lock of that version."""
        for key in ("signers", "dependencies", "wanted-by"):
            table.need(key, list)
        if lock_version > 1:
            table.need("version-scheme", str)
        for key in ("signers", "dependencies", "wanted-by"):
            if len(set(table.strings(key))) != len(table.strings(key)):
                table.fail(key, "names one twice")
        arch = table.read("arch", Arch.parse)
        star = cls(
            name=table.read("name", StarName.parse),
            version=read_version(table) if lock_version > 1 else table.read("version", Version.parse),
            arch=arch,
            type=cast(StarType, table.choice("type", ("normal", "nebula"))),
            galaxy=table.read("galaxy", GalaxyName.parse),
            file=table.read("file", package_path),
            archive=table.read("archive", Digest.parse),
            size_bytes=table.count("size-bytes", most=MAX_STAR_ARCHIVE_BYTES),
            unpacked_bytes=table.count("unpacked-bytes", most=MAX_STAR_UNPACKED_BYTES),
            statement=table.read("statement", Digest.parse),
            script=table.read("script", _digest_or_none),
            signers=table.strings("signers"),
            dependencies=table.parsed_strings("dependencies", StarName.parse),
            wanted_by=table.strings("wanted-by"),
            facts=Facts.read(table, arch) if lock_version > 1 else None,
        )
        table.end()
        return star

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "name": str(self.name),
            "version": str(self.version),
            **({} if self.facts is None else {"version-scheme": self.version.scheme}),
            "arch": str(self.arch),
            "type": self.type,
            "galaxy": str(self.galaxy),
            "file": self.file,
            "archive": str(self.archive),
            "size-bytes": self.size_bytes,
            "unpacked-bytes": self.unpacked_bytes,
            "statement": str(self.statement),
            "script": str(self.script or ""),
            "signers": list(self.signers),
            "dependencies": [str(name) for name in self.dependencies],
            "wanted-by": list(self.wanted_by),
            **({} if self.facts is None else self.facts.to_toml()),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """The whole lock."""

    request: Request
    build: BuildPins
    galaxies: tuple[LockedGalaxy, ...]
    stars: tuple[LockedStar, ...]
    trust: LockedTrust = NO_TRUST
    downgraded: Mapping[StarName, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the lock in `data`; raises `Malformed`. `resolve.judging` judges whether its stars fit together."""
        table = Table.parse(data, source, max_bytes=MAX_LOCK_BYTES)
        lock_version = table.count("lock-version", least=1)
        if lock_version > LOCK_VERSION:
            newer = f"want at most {LOCK_VERSION}: this lock is for a newer cosmos"
            table.fail("lock-version", newer, hint="use the cosmos that wrote it, or a newer one")
        lock = cls(
            request=Request.read(table.table("request")),
            build=BuildPins.read(table.table("build")),
            galaxies=tuple(LockedGalaxy.read(row) for row in table.tables("galaxy")),
            stars=tuple(LockedStar.read(row, lock_version) for row in table.tables("star")),
            trust=LockedTrust.read(table.table("trust")),
            downgraded=table.parsed_map("downgraded", StarName.parse, str),
        )
        table.end()
        _check_references(lock, table)
        return lock

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        lowered = {str(name): version for name, version in sorted(self.downgraded.items())}
        return {
            "lock-version": LOCK_VERSION if self.carries_facts else 1,
            "request": self.request.to_toml(),
            "build": self.build.to_toml(),
            "trust": self.trust.to_toml(),
            **({"downgraded": lowered} if lowered else {}),
            "galaxy": [galaxy.to_toml() for galaxy in self.galaxies],
            "star": [star.to_toml() for star in self.stars],
        }

    @property
    def carries_facts(self) -> bool:
        """Whether it can be judged offline: a lock of version 1 cannot."""
        return all(star.facts is not None for star in self.stars)

    def galaxy(self, name: GalaxyName) -> LockedGalaxy:
        """Return the snapshot called `name`; `parse` has checked that every star's galaxy is listed."""
        return next(galaxy for galaxy in self.galaxies if galaxy.name == name)


def _check_references(lock: Lock, table: Table) -> None:
    galaxies = {galaxy.name: galaxy for galaxy in lock.galaxies}
    if len(galaxies) != len(lock.galaxies):
        table.fail("galaxy", "names one galaxy twice")
    if [*lock.request.galaxies.items()] != [(name, galaxy.url) for name, galaxy in galaxies.items()]:
        table.fail("request.galaxies", "want the names and addresses of the lock's galaxies, in their order")
    _check_downgraded(lock, table)
    for place, star in enumerate(lock.stars):
        at = f"star[{place}]"
        if star.galaxy not in galaxies:
            table.fail(f"{at}.galaxy", f"{star.galaxy!r} is not among the lock's galaxies")
        if not star.signers and not galaxies[star.galaxy].allow_unsigned:
            table.fail(f"{at}.signers", f"{star.name} has no signer, and galaxy {star.galaxy} does not allow that")


def _check_downgraded(lock: Lock, table: Table) -> None:
    locked = {star.name for star in lock.stars}
    for name, text in sorted(lock.downgraded.items()):
        if name not in locked:
            table.fail(f"downgraded.{name}", "is not a star of this lock")
        try:
            Version.guessed(text)  # the star may have changed its scheme: whether it is above cannot be said
        except ValueError as error:
            table.fail(f"downgraded.{name}", str(error))


def _digest_or_none(text: str) -> Digest | None:
    return Digest.parse(text) if text else None


def _needed(table: Table, key: str) -> dict[StarName, Constraint]:
    table.need(key, dict)
    return table.parsed_map(key, StarName.parse, Constraint.parse)


def _texts(wishes: Mapping[StarName, Constraint]) -> dict[str, str]:
    return {str(name): limit.text for name, limit in sorted(wishes.items())}
