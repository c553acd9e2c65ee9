"""Real galaxies made from plain values: signed ones of ours, and unsigned ones as upstream publishes them.

galaxy = make_galaxy(tmp_path, "core", [StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"…"})])
galaxy.roots                       # pins the keys that signed it
galaxy.add(StarSpec("nano", "7.2.0", dependencies={"zlib": "^1"}))     # the next snapshot
pin(galaxy.keys, home)             # what `cosmos trust init` does
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.anchors import accept_trust, home_anchor
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.names import Arch, GalaxyName, KeyName, StarName
from cosmos.model.star import Star, StarType
from cosmos.model.statement import Statement
from cosmos.model.version import Constraint, Version
from cosmos.pack.star_archive import read_star, write_star
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath
from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots


@dataclass(frozen=True)
class StarSpec:
    """A star to make. `files` maps a path to bytes, text, or an entry of any kind."""

    name: str
    version: str = "1.0.0"
    files: Mapping[str, bytes | str | Entry] = field(default_factory=dict)
    script: str | None = None
    dependencies: Mapping[str, str] = field(default_factory=dict)
    provides: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, str] = field(default_factory=dict)
    arch: str = "any"
    type: StarType = "normal"

    @property
    def star(self) -> Star:
        """The manifest."""
        return Star(
            name=StarName.parse(self.name),
            version=Version.parse(self.version),
            type=self.type,
            arch=Arch.parse(self.arch),
            install_script="install.lua" if self.script is not None else "",
            dependencies={StarName(name): Constraint.parse(text) for name, text in self.dependencies.items()},
            provides={StarName(name): Version.parse(text) for name, text in self.provides.items()},
            conflicts={StarName(name): Constraint.parse(text) for name, text in self.conflicts.items()},
        )

    @property
    def entries(self) -> list[Entry]:
        """The files, with the folders above them."""
        made: dict[TreePath, Entry] = {}
        for text, what in self.files.items():
            path = TreePath.parse(text)
            content = what.encode() if isinstance(what, str) else what
            for folder in path.parents:
                made.setdefault(folder, Entry(path=folder, kind="dir", mode=0o755))
            made[path] = (
                content if isinstance(content, Entry) else Entry(path=path, kind="file", mode=0o644, content=content)
            )
        return list(made.values())


@dataclass(frozen=True)
class Keys:
    """One key for each role."""

    root: SecretKey
    galaxy: SecretKey
    author: SecretKey
    release: SecretKey

    def roots(self, **fields: object) -> TrustRoots:
        """The trust anchors that pin these keys, for every galaxy and star; `fields` replace others."""
        rows: dict[str, object] = {
            "version": 1,
            "roles": {
                "root": RoleKeys(threshold=1, keys=(self.root.public,)),
                "galaxy": RoleKeys(threshold=1, keys=(self.galaxy.public,)),
                "release": RoleKeys(threshold=1, keys=(self.release.public,)),
            },
            "authors": (AuthorKey(key=self.author.public, galaxies=("*",), stars=("*",)),),
        }
        return TrustRoots(**{**rows, **fields})


def make_keys() -> Keys:
    """Return new keys."""
    return Keys(
        root=SecretKey.generate(KeyName("root"), "root"),
        galaxy=SecretKey.generate(KeyName("mirror"), "galaxy"),
        author=SecretKey.generate(KeyName("carol"), "author"),
        release=SecretKey.generate(KeyName("ship"), "release"),
    )


def pin(keys: Keys, home: Path, **fields: object) -> None:
    """Accept trust anchors for `keys` in a builder's home, in place of any that were there."""
    data = tomli_w.dumps(keys.roots(**fields).to_toml()).encode()
    home_anchor(home).unlink(missing_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    (home / "trust-to-accept.toml").write_bytes(data)
    accept_trust(home / "trust-to-accept.toml", Digest.of(data), home_anchor(home))


@dataclass
class GalaxyFixture:
    """A signed galaxy in the folder `path`."""

    path: Path
    name: str
    keys: Keys
    seq: int = 0
    rows: dict[tuple[str, str], Listed] = field(default_factory=dict)

    @property
    def roots(self) -> TrustRoots:
        """Trust anchors that pin this galaxy's keys."""
        return self.keys.roots()

    @property
    def trust_file(self) -> Path:
        """The trust.toml that pins this galaxy's keys, written beside the galaxy."""
        file = self.path.with_name(f"{self.path.name}-trust.toml")
        file.write_bytes(tomli_w.dumps(self.roots.to_toml()).encode())
        return file

    def file(self, name: str) -> Path:
        """A file of the galaxy: `meta.toml`, `stars/zlib-1.3.1.toml.dsse`, …"""
        return self.path / name

    def add(self, *stars: StarSpec, author: SecretKey | None = None, galaxy: str | None = None) -> None:
        """Publish `stars` in the next snapshot; by default signed by this galaxy's author, for this galaxy."""
        for spec in stars:
            statement = self._publish(spec, author or self.keys.author, galaxy or self.name)
            self.rows[spec.name, spec.version] = statement
        self.index()

    def withdraw(self, name: str, version: str) -> None:
        """Take a version out, in the next snapshot; its files stay, as an older lock needs them."""
        del self.rows[name, version]
        self.index()

    def index(self, *, seq: int | None = None, key: SecretKey | None = None) -> None:
        """Write and sign the next snapshot of what is published."""
        self.seq = self.seq + 1 if seq is None else seq
        rows = sorted(self.rows.values(), key=lambda row: (row.name, row.version))
        index = GalaxyIndex(
            name=GalaxyName(self.name),
            description="for tests",
            version="2026.11.22",
            seq=self.seq,
            newest={row.name: row.version for row in rows},
            checksums={row.name: row.archive for row in rows},
            snapshot=tuple(rows),
        )
        data = tomli_w.dumps(index.to_toml()).encode()
        envelope = (key or self.keys.galaxy).sign(GALAXY_TYPE, data)
        for file in (self.file("meta.toml"), self.file(f"snapshots/{self.seq}.toml")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.with_name(f"{file.name}.dsse").write_bytes(envelope)

    def _publish(self, spec: StarSpec, author: SecretKey, galaxy: str) -> Listed:
        star, script = spec.star, spec.script.encode() if spec.script is not None else None
        packed = write_star(star, script, spec.entries, level=3)
        name = f"packages/{star.id}.tar.zst"
        inside = read_star(packed.data, name, packed.unpacked_bytes, script_name=star.install_script).files
        statement = Statement(
            star=star,
            galaxy=GalaxyName(galaxy),
            seq=self.seq + 1,
            archive=Digest.of(packed.data),
            file=name,
            size_bytes=len(packed.data),
            unpacked_bytes=packed.unpacked_bytes,
            script=Digest.of(script) if script is not None else None,
            content=content_root(ManifestLine.of(entry) for entry in inside.values()),
        )
        data = tomli_w.dumps(statement.to_toml()).encode()
        for file, content in {
            name: packed.data,
            f"stars/{star.id}.toml": data,
            f"stars/{star.id}.toml.dsse": author.sign(STAR_TYPE, data),
            f"stars/{star.name}.toml": data,
        }.items():
            self.file(file).parent.mkdir(parents=True, exist_ok=True)
            self.file(file).write_bytes(content)
        return Listed(name=star.name, version=star.version, statement=Digest.of(data), archive=statement.archive)


def make_galaxy(
    folder: Path, name: str = "core", stars: Iterable[StarSpec] = (), *, keys: Keys | None = None
) -> GalaxyFixture:
    """Return a new signed galaxy at `folder`/NAME with `stars`, its seq 1."""
    galaxy = GalaxyFixture(path=folder / name, name=name, keys=keys or make_keys())
    galaxy.add(*stars)
    return galaxy


def make_upstream_galaxy(folder: Path, name: str, stars: Iterable[StarSpec], *, names_only: bool = False) -> Path:
    """Return the folder of an unsigned galaxy with one version of each star, as upstream's program makes it."""
    path = folder / name
    checksums, newest = {}, {}
    for below in ("stars", "packages"):
        (path / below).mkdir(parents=True, exist_ok=True)
    for spec in stars:
        archive = _upstream_archive(spec)
        manifest = spec.star.to_toml() | {"source": f"./packages/{spec.name}-{spec.version}.tar.gz", "upstream": True}
        (path / f"packages/{spec.name}-{spec.version}.tar.gz").write_bytes(archive)
        (path / f"stars/{spec.name}.toml").write_bytes(tomli_w.dumps(manifest).encode())
        checksums[spec.name], newest[spec.name] = Digest.of(archive).hex, spec.version
    index = {
        "name": name,
        "description": "an upstream galaxy",
        "version": "2025.06.01",
        "stars": sorted(newest) if names_only else newest,
        "checksums": checksums,
        "mood": "unknown to us",
    }
    (path / "meta.toml").write_bytes(tomli_w.dumps(index).encode())
    return path


def _upstream_archive(spec: StarSpec) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        members = {} if spec.script is None else {"install.lua": spec.script.encode()}
        members |= {f"files/{entry.path.text}": bytes(entry.content) for entry in spec.entries if entry.kind == "file"}
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)
