"""`star.toml`: the manifest of a star (upstream's format, and our own fields).

    name = "zlib"                      # required
    version = "1.3.1"                  # required
    version-scheme = "semver"          # ours; or "debian" (model.version)
    type = "normal"                    # or "nebula" (also "meta"): dependencies only, no files
    description = "compression"
    license = "Zlib"
    source = "./packages/zlib-1.3.1-x86_64.tar.zst"
    install_script = "install.lua"     # the Nova script's name in the archive
    arch = "x86_64"                    # ours; default "any"
    any-of = ["mta-a | mta-b >=2"]     # ours: dependencies on one of several stars, the preferred first
    provides = { libz = "1.3.1" }      # ours: names that this star also answers to; "": without a version
    conflicts = { zlib-ng = "*" }      # ours: stars that it cannot be installed beside; or an array of ranges
    replaces = { zlib-dev = "<1.3" }   # ours: stars whose files it may overwrite; or an array of ranges

    [authors]                          # name -> address
    "Jean-loup Gailly" = "jloup@example.org"

    [dependencies]                     # name -> constraint (see model.constraint)
    glibc-runtime = "^2.36"

    [checksums]                        # path below files/ -> SHA-256 in hex
    "usr/lib/libz.so.1" = "9f…"

    [[origin]]                         # ours: where a converted package came from; one table a package
    ecosystem = "deb"
    name = "zlib1g"
    version = "1:1.2.13.dfsg-1"
    digest = "sha256:…"

A star made of Debian packages provides each of them in its exact version, under its Debian name. It cannot be installed
beside a star of such a name.

`authors` may also be an array of names. An unknown key is a warning, because upstream's galaxies carry some.

A **recipe** is the `star.toml` of a source folder (`stars/NAME/star.toml`). It has these keys as well:

    source = "deb:busybox-static"      # or an array of them; the scheme says of which ecosystem (stellar.ecosystems)
    suite = "bookworm"                 # and the other keys of an ecosystem's sources: see `SourceRules`
    version                            # may be left out if the source has one: it is then the first package's

    [unpack]                           # which paths of the packages to keep below files/
    only = ["bin/**"]                  # globs on paths; default: everything
    exclude = ["usr/share/doc/**"]
    kernel-modules = ["virtio_net"]    # instead of globs: these modules and what their .modinfo depends on
    rename = { "bin/busybox" = "usr/bin/busybox" }   # moves one path, or everything below it

Globs (cosmos.globs): `*` and `?` stay inside one component; a glob with no wildcard also takes what lies below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final, Literal, Self, TypeAlias, TypedDict, TypeVar

from cosmos.digest import Digest
from cosmos.model.constraint import Constraint
from cosmos.model.demand import Demand, Need, need_text, parse_need
from cosmos.model.file_names import file_stem
from cosmos.model.names import ANY_ARCH, Arch, StarName
from cosmos.model.version import DebianVersion, Scheme, Version, read_scheme, read_version, version_rows
from cosmos.records import dataclass
from cosmos.tables import Table, read_whole

T = TypeVar("T")
StarType: TypeAlias = Literal["normal", "nebula"]
Provides: TypeAlias = Mapping[StarName, tuple[Version | None, ...]]  # None: the name without a version
Ranges: TypeAlias = Mapping[StarName, tuple[Constraint, ...]]  # each of the ranges counts
DEBIAN: Final = "deb"  # the ecosystem of Debian's packages in `[[origin]]`
_STAND_INS: Final = {"name": "star", "version": "0.0.0"}  # where these are wrong, to find what else is
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


def is_named_for_a_shell(script_name: str) -> bool:
    """Return whether an install script of this name is one for a shell, and not a Nova script."""
    return script_name.endswith(".sh")


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
    any_of: tuple[Need, ...]
    provides: Provides
    conflicts: Ranges
    replaces: Ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class Star:
    """One star's manifest. `warnings` are the dotted paths of its unknown keys."""

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
    any_of: tuple[Need, ...] = ()
    provides: Provides = field(default_factory=dict)
    conflicts: Ranges = field(default_factory=dict)
    replaces: Ranges = field(default_factory=dict)
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
        return cls(
            **_about(table, read_scheme(table)),
            version=read_version(table),
            source=table.take("source", str, ""),
            checksums=table.parsed_map("checksums", str, Digest.from_hex),
            origins=tuple(Origin.read(row) for row in table.tables("origin")),
            warnings=table.unknown(),
        )

    @property
    def id(self) -> str:
        """NAME-VERSION, as in file names."""
        return f"{self.name}-{self.version}"

    @property
    def has_shell_script(self) -> bool:
        """Whether its install script is one for a shell, as its name says. Upstream's galaxies have such stars."""
        return is_named_for_a_shell(self.install_script)

    @property
    def archive_name(self) -> str:
        """The file name of its archive."""
        return f"{file_stem(self.name, str(self.version), self.arch)}.tar.zst"

    @property
    def archive_source(self) -> str:
        """The value of its `source`: the archive's path in its galaxy."""
        return f"./packages/{self.archive_name}"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Everything that it depends on, in a fixed order: single stars by name, then alternatives."""
        return _needs(self.dependencies, self.any_of)

    @property
    def made_of(self) -> tuple[tuple[StarName, Version], ...]:
        """The Debian packages that it was made of, each with its version, without one of its own name."""
        return tuple(
            (StarName(origin.name), DebianVersion.of(origin.version))
            for origin in self.origins
            if origin.ecosystem == DEBIAN and origin.name != self.name
        )

    @property
    def is_plain(self) -> bool:
        """Whether readers of format 1 understand all of it (model.statement)."""
        several = (*self.provides.values(), *self.conflicts.values())
        unversioned = any(version is None for versions in self.provides.values() for version in versions)
        scheme = self.version.scheme == "semver"
        limits = (*self.dependencies.values(), *(limit for limits in self.conflicts.values() for limit in limits))
        said = all(limit.semver is not None for limit in limits)
        more = self.any_of or self.replaces or unversioned or any(len(each) != 1 for each in several)
        return scheme and said and not more

    def to_toml(self) -> dict[str, object]:
        """Return the manifest as `tomli_w` takes it, empty fields left out."""
        rows: dict[str, object] = {
            "name": str(self.name),
            **version_rows(self.version),
            "type": self.type,
            "arch": str(self.arch),
            "description": self.description,
            "license": self.license,
            "source": self.source,
            "install_script": self.install_script,
            "authors": dict(sorted(self.authors.items())),
            "dependencies": {str(name): limit.text for name, limit in sorted(self.dependencies.items())},
            "any-of": [need_text(need) for need in self.any_of],
            "provides": {
                str(name): _one_or_several([str(version or "") for version in versions])
                for name, versions in sorted(self.provides.items())
            },
            "conflicts": _range_rows(self.conflicts),
            "replaces": _range_rows(self.replaces),
            "checksums": {path: digest.hex for path, digest in sorted(self.checksums.items())},
            "origin": [origin.to_toml() for origin in self.origins],
        }
        return {key: value for key, value in rows.items() if value}


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRules:
    """What a recipe may say, and leave out, if its `source` names packages of one ecosystem.

    `form`: how such a source is written ("deb:NAME"). `noun`: what it brings ("packages"). `keys`: the keys of the
    recipe that belong to the ecosystem. `version_scheme`: how its packages write their versions, or None if they have
    no version and the recipe must state it. `has_description`: whether its packages state their licence and
    description. `listed_by`: the command that lists a package's contents.
    """

    form: str
    noun: str
    keys: tuple[str, ...]
    version_scheme: Scheme | None
    has_description: bool
    listed_by: str


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
    """A maintainer's source folder's `star.toml`. `version` is None if the packages give it.

    `beside_source` holds the keys that belong to the ecosystems of its sources, which read them.
    """

    name: StarName
    version: Version | None
    type: StarType
    arch: Arch
    description: str
    license: str
    sources: tuple[str, ...]
    beside_source: Table
    install_script: str
    authors: Mapping[str, str]
    dependencies: Mapping[StarName, Constraint]
    any_of: tuple[Need, ...]
    provides: Provides
    conflicts: Ranges
    replaces: Ranges
    unpack: Unpack

    @property
    def needs(self) -> tuple[Need, ...]:
        """Everything that the star will depend on, as `Star.needs`."""
        return _needs(self.dependencies, self.any_of)

    @classmethod
    def parse(cls, data: bytes, source: str, schemes: Mapping[str, SourceRules]) -> Self:
        """Return the recipe in `data`; here unknown keys are errors. Raises `Malformed`.

        `schemes` are the ecosystems that a source may name, by the word before its colon.
        """
        return read_whole(data, source, lambda table: cls.read(table, schemes), _STAND_INS)

    @classmethod
    def read(cls, table: Table, schemes: Mapping[str, SourceRules]) -> Self:
        """Return the table as a recipe, as `parse` does; raises `Malformed`."""
        several = "source" in table and isinstance(table.value("source"), list)
        sources = table.strings("source") if several else (table.take("source", str, ""),)
        unpack = table.take_table("unpack")
        prefixes = {one.partition(":")[0] for one in sources if ":" in one}
        named = {scheme: rules for scheme, rules in schemes.items() if scheme in prefixes}
        own_keys = {key for rules in named.values() for key in rules.keys}
        for scheme, rules in schemes.items():
            for key in rules.keys:
                if key in table and key not in own_keys:
                    table.fail(key, f"belongs to {rules.noun}, but source names no {scheme}:")
        schemes_given = [rules.version_scheme for rules in named.values()]
        given = schemes_given[0] if schemes_given and None not in schemes_given else None
        is_versionless = given is not None and "version" not in table
        recipe = cls(
            **_about(table, given if given is not None and is_versionless else read_scheme(table), Arch.written),
            version=None if is_versionless else read_version(table),
            sources=tuple(name for name in sources if name),
            beside_source=table.part(own_keys),
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
            any_of=self.any_of,
            provides=self.provides,
            conflicts=self.conflicts,
            replaces=self.replaces,
            checksums=checksums,
            origins=origins,
        )


def _about(table: Table, scheme: Scheme, read_arch: Callable[[str], Arch] = Arch.parse) -> _About:
    named = "authors" in table and isinstance(table.value("authors"), dict)
    return _About(
        name=table.read("name", StarName.parse),
        type=_TYPES[table.choice("type", tuple(_TYPES))] if "type" in table else "normal",
        arch=table.take_read("arch", read_arch, ANY_ARCH),
        description=table.take("description", str, ""),
        license=table.take("license", str, ""),
        install_script=table.take("install_script", str, ""),
        authors=table.string_map("authors") if named else dict.fromkeys(table.strings("authors"), ""),
        dependencies=table.parsed_map("dependencies", StarName.parse, Constraint.parse),
        any_of=table.parsed_strings("any-of", parse_need),
        provides=_several(table, "provides", lambda text: Version.parse(text, scheme) if text else None),
        conflicts=_several(table, "conflicts", Constraint.parse),
        replaces=_several(table, "replaces", Constraint.parse),
    )


def _needs(dependencies: Mapping[StarName, Constraint], any_of: tuple[Need, ...]) -> tuple[Need, ...]:
    return (*((Demand(name, limit),) for name, limit in sorted(dependencies.items())), *any_of)


def _several(table: Table, key: str, parse: Callable[[str], T]) -> dict[StarName, tuple[T, ...]]:
    """Return the table at `key`: for each name a string or an array of strings, each parsed by `parse`."""
    rows = table.take_table(key)
    if rows is None:
        return {}
    names = table.parsed_map_keys(key, StarName.parse)
    return {
        name: rows.parsed_strings(text, parse) if isinstance(rows.value(text), list) else (rows.read(text, parse),)
        for text, name in names.items()
    }


def _range_rows(ranges: Ranges) -> dict[str, object]:
    return {str(name): _one_or_several([limit.text for limit in limits]) for name, limits in sorted(ranges.items())}


def _one_or_several(texts: list[str]) -> object:
    return texts[0] if len(texts) == 1 else texts
