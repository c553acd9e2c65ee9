"""`star.toml`: what a star is (upstream's format, and our fields besides).

    name = "zlib"                      # required
    version = "1.3.1"                  # required, SemVer 2.0.0
    type = "normal"                    # or "nebula" (also "meta"): dependencies only, no files
    description = "compression"
    license = "Zlib"
    source = "./packages/zlib-1.3.1.tar.gz"
    install_script = "install.lua"     # the Nova script's name in the archive
    arch = "x86_64"                    # ours; default "any"
    provides = { libz = "1.3.1" }      # ours: names that this star also answers to
    conflicts = { zlib-ng = "*" }      # ours: stars that it cannot stand beside

    [authors]                          # name -> address
    "Jean-loup Gailly" = "jloup@example.org"

    [dependencies]                     # name -> constraint (see model.version)
    glibc-runtime = "^2.36"

    [checksums]                        # path below files/ -> SHA-256 in hex
    "usr/lib/libz.so.1" = "9f…"

    [[origin]]                         # ours: where a converted package came from; one table a package
    ecosystem = "deb"
    name = "zlib1g"
    version = "1:1.2.13.dfsg-1"
    digest = "sha256:…"

`authors` may also be an array of names. Unknown keys warn and pass, because upstream's galaxies carry some.

A **recipe** is the `star.toml` of a source folder (`stars/NAME/star.toml`): the same, where besides

    source = "deb:busybox-static"      # or an array of them; `=VERSION` pins; transport.deb has the other forms
    suite = "bookworm"                 # the release of Debian to take them from; default: the host's own sources
    version                            # may be left out with a deb: source: it is then made from the first package's

    [unpack]                           # what of the packages to keep below files/
    only = ["bin/**"]                  # globs on paths; default: everything
    exclude = ["usr/share/doc/**"]
    kernel-modules = ["virtio_net"]    # instead of globs: these modules and what their .modinfo depends on
    rename = { "bin/busybox" = "usr/bin/busybox" }   # moves one path, or everything below it

In a glob `*` and `?` stay inside one component and `**` crosses components; a glob with no wildcard also takes what
lies below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias, TypedDict

from cosmos.digest import Digest
from cosmos.model.names import ANY_ARCH, Arch, StarName, Suite
from cosmos.model.version import Constraint, Version
from cosmos.tables import Table

StarType: TypeAlias = Literal["normal", "nebula"]
_TYPES: dict[str, StarType] = {"normal": "normal", "nebula": "nebula", "meta": "nebula"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The package of another ecosystem that a star was made from."""

    ecosystem: str
    name: str
    version: str
    digest: Digest

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[[origin]]` table as an origin."""
        origin = cls(
            ecosystem=table.need("ecosystem", str),
            name=table.need("name", str),
            version=table.need("version", str),
            digest=table.read("digest", Digest.parse),
        )
        table.end()
        return origin

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"ecosystem": self.ecosystem, "name": self.name, "version": self.version, "digest": str(self.digest)}


class _About(TypedDict):
    """The fields that a manifest and a recipe share."""

    name: StarName
    type: StarType
    arch: Arch
    description: str
    license: str
    install_script: str
    authors: Mapping[str, str]
    dependencies: Mapping[StarName, Constraint]
    provides: Mapping[StarName, Version]
    conflicts: Mapping[StarName, Constraint]


@dataclass(frozen=True, kw_only=True, slots=True)
class Star:
    """One star's manifest. `warnings` are the dotted paths of keys that nobody knows."""

    name: StarName
    version: Version
    type: StarType = "normal"
    arch: Arch = ANY_ARCH
    description: str = ""
    license: str = ""
    source: str = ""
    install_script: str = ""
    authors: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[StarName, Constraint] = field(default_factory=dict)
    provides: Mapping[StarName, Version] = field(default_factory=dict)
    conflicts: Mapping[StarName, Constraint] = field(default_factory=dict)
    checksums: Mapping[str, Digest] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the `star.toml` in `data`; raises `Malformed`."""
        return cls.read(Table.parse(data, source))

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the table as a star, with its unknown keys as `warnings`."""
        about = _about(table)
        return cls(
            **about,
            version=table.read("version", Version.parse),
            source=table.take("source", str, ""),
            checksums=table.parsed_map("checksums", str, Digest.from_hex),
            origins=tuple(Origin.read(row) for row in table.tables("origin")),
            warnings=table.unknown(),
        )

    @property
    def id(self) -> str:
        """NAME-VERSION, as in file names."""
        return f"{self.name}-{self.version}"

    def to_toml(self) -> dict[str, object]:
        """Return the manifest as `tomli_w` takes it, empty fields left out."""
        rows: dict[str, object] = {
            "name": str(self.name),
            "version": str(self.version),
            "type": self.type,
            "arch": str(self.arch),
            "description": self.description,
            "license": self.license,
            "source": self.source,
            "install_script": self.install_script,
            "authors": dict(sorted(self.authors.items())),
            "dependencies": {str(name): limit.text for name, limit in sorted(self.dependencies.items())},
            "provides": {str(name): str(version) for name, version in sorted(self.provides.items())},
            "conflicts": {str(name): limit.text for name, limit in sorted(self.conflicts.items())},
            "checksums": {path: digest.hex for path, digest in sorted(self.checksums.items())},
            "origin": [origin.to_toml() for origin in self.origins],
        }
        return {key: value for key, value in rows.items() if value}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpack:
    """What a recipe keeps of the packages it is made from."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    kernel_modules: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[unpack]` table."""
        unpack = cls(
            only=table.strings("only"),
            exclude=table.strings("exclude"),
            kernel_modules=table.strings("kernel-modules"),
            rename=table.string_map("rename"),
        )
        table.end()
        return unpack


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A maintainer's source folder's `star.toml`. `version` is None where the package gives it; without a `suite` its
    packages come from the host's own sources.
    """

    name: StarName
    version: Version | None
    type: StarType
    arch: Arch
    description: str
    license: str
    sources: tuple[str, ...]
    suite: Suite | None
    install_script: str
    authors: Mapping[str, str]
    dependencies: Mapping[StarName, Constraint]
    provides: Mapping[StarName, Version]
    conflicts: Mapping[StarName, Constraint]
    unpack: Unpack

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the recipe in `data`; here unknown keys are errors. Raises `Malformed`."""
        table = Table.parse(data, source)
        several = "source" in table and isinstance(table.value("source"), list)
        sources = table.strings("source") if several else (table.take("source", str, ""),)
        unpack = table.take_table("unpack")
        is_of_debs = any(name.startswith("deb:") for name in sources)
        if "suite" in table and not is_of_debs:
            table.fail("suite", "belongs to packages, but source names no deb:")
        recipe = cls(
            **_about(table),
            version=table.take_read("version", Version.parse) if is_of_debs else table.read("version", Version.parse),
            suite=table.take_read("suite", Suite.parse),
            sources=tuple(name for name in sources if name),
            unpack=Unpack() if unpack is None else Unpack.read(unpack),
        )
        table.end()
        return recipe

    def star(
        self, *, version: Version, source: str, checksums: Mapping[str, Digest], origins: tuple[Origin, ...]
    ) -> Star:
        """Return the manifest of the star that was built from this recipe."""
        return Star(
            name=self.name,
            version=version,
            type=self.type,
            arch=self.arch,
            description=self.description,
            license=self.license,
            source=source,
            install_script=self.install_script,
            authors=self.authors,
            dependencies=self.dependencies,
            provides=self.provides,
            conflicts=self.conflicts,
            checksums=checksums,
            origins=origins,
        )


def _about(table: Table) -> _About:
    named = "authors" in table and isinstance(table.value("authors"), dict)
    return _About(
        name=table.read("name", StarName.parse),
        type=_TYPES[table.choice("type", tuple(_TYPES))] if "type" in table else "normal",
        arch=table.take_read("arch", Arch.parse, ANY_ARCH),
        description=table.take("description", str, ""),
        license=table.take("license", str, ""),
        install_script=table.take("install_script", str, ""),
        authors=table.string_map("authors") if named else dict.fromkeys(table.strings("authors"), ""),
        dependencies=table.parsed_map("dependencies", StarName.parse, Constraint.parse),
        provides=table.parsed_map("provides", StarName.parse, Version.parse),
        conflicts=table.parsed_map("conflicts", StarName.parse, Constraint.parse),
    )
