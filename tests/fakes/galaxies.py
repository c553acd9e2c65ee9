"""Real galaxies made in a test: real archives, real statements, real signatures; only the packages are small.

signers = make_signers()
galaxy = make_galaxy(tmp_path / "galaxy", "core", [StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z"})], signers)
home = make_home(tmp_path / "home", signers)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.anchors import accept_trust, home_anchor
from cosmos.keyring.secret_key import SecretKey
from cosmos.keyring.state import home_state
from cosmos.model.constraint import Constraint
from cosmos.model.demand import parse_need
from cosmos.model.galaxy import INDEX_FORMAT, GalaxyIndex, Listed
from cosmos.model.names import Arch, GalaxyName, KeyName, StarName
from cosmos.model.reporter import Silent
from cosmos.model.star import Origin, Star, StarType
from cosmos.model.statement import Statement
from cosmos.model.version import Scheme, Version
from cosmos.pack.star_archive import write_star
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.index_galaxy import Indexed, index_galaxy
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath
from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE, Role
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots

ROLES: tuple[Role, ...] = ("root", "galaxy", "author", "release")


@dataclass(frozen=True)
class StarSpec:
    """A star in few words. `files` maps a path to bytes (mode 0755) or to a whole entry."""

    name: str
    version: str = "1.0.0"
    files: Mapping[str, bytes | Entry] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)
    script: str | None = None
    arch: str = "any"
    type: StarType = "normal"
    provides: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, str] = field(default_factory=dict)
    replaces: Mapping[str, str] = field(default_factory=dict)
    any_of: Sequence[str] = ()
    scheme: Scheme = "semver"
    packages: Sequence[str] = ()  # names of the Debian packages that it was made from, all of version 1
    signer: SecretKey | None = None
    signed: bool = True
    description: str | None = None

    @property
    def id(self) -> str:
        """NAME-VERSION."""
        return f"{self.name}-{self.version}"

    def entries(self) -> list[Entry]:
        """Return the entries below files/."""
        return [
            item if isinstance(item, Entry) else Entry(path=TreePath.parse(path), kind="file", mode=0o755, content=item)
            for path, item in self.files.items()
        ]

    def star(self) -> Star:
        """Return the manifest."""
        return Star(
            name=StarName.parse(self.name),
            version=Version.parse(self.version, self.scheme),
            type=self.type,
            arch=Arch.parse(self.arch),
            description=f"the test star {self.name}" if self.description is None else self.description,
            license="MIT",
            install_script="install.lua" if self.script is not None else "",
            dependencies={StarName.parse(name): Constraint.parse(text) for name, text in self.dependencies.items()},
            any_of=tuple(map(parse_need, self.any_of)),
            provides={
                StarName.parse(name): (Version.parse(text, self.scheme) if text else None,)
                for name, text in self.provides.items()
            },
            conflicts={StarName.parse(name): (Constraint.parse(text),) for name, text in self.conflicts.items()},
            replaces={StarName.parse(name): (Constraint.parse(text),) for name, text in self.replaces.items()},
            origins=tuple(
                Origin(ecosystem="deb", name=name, version="1", digest=Digest.of(name.encode()))
                for name in self.packages
            ),
        )


@dataclass(frozen=True)
class Signers:
    """One secret key a role."""

    keys: Mapping[Role, SecretKey]

    def __getitem__(self, role: Role) -> SecretKey:
        return self.keys[role]

    def roots(self) -> TrustRoots:
        """Return trust anchors that pin these keys for everything."""
        roles: dict[Role, RoleKeys] = {
            role: RoleKeys(threshold=1, keys=(self.keys[role].public,)) for role in ROLES if role != "author"
        }
        author = AuthorKey(key=self.keys["author"].public, galaxies=("*",), stars=("*",))
        return TrustRoots(version=1, roles=roles, authors=(author,))

    def write_trust(self, file: Path) -> Path:
        """Write a trust.toml that pins these keys, and return it."""
        file.write_text(tomli_w.dumps(self.roots().to_toml()))
        return file


@dataclass(frozen=True)
class GalaxyFixture:
    """A galaxy on disk."""

    path: Path
    name: GalaxyName
    signers: Signers

    def archive(self, star: str) -> Path:
        """Return the archive of NAME-VERSION."""
        return self.path / "packages" / f"{star}.tar.zst"

    def statement(self, star: str) -> Path:
        """Return the statement of NAME-VERSION."""
        return self.path / "stars" / f"{star}.toml"

    @property
    def index(self) -> Path:
        """The index."""
        return self.path / "meta.toml"


@functools.cache
def make_signers(name: str = "test") -> Signers:
    """Return keys; the same ones for the same name, within one test run."""
    return Signers({role: SecretKey.generate(KeyName.parse(f"{name}-{role}"), role) for role in ROLES})


def make_home(home: Path, signers: Signers) -> Path:
    """Return a builder's home that has accepted the signers' trust anchors."""
    home.mkdir(parents=True, exist_ok=True)
    trust = signers.write_trust(home / "given-trust.toml")
    anchor = accept_trust(trust, Digest.of(trust.read_bytes()), home_anchor(home))
    home_state(home).change(lambda memory: memory.with_trust(anchor.roots.version, anchor.digest, str(trust)))
    return home


def make_galaxy(
    path: Path, name: str, stars: Sequence[StarSpec], signers: Signers, *, seq: int = 1, signed: bool = True
) -> GalaxyFixture:
    """Write a galaxy with these stars into `path`; called again with a higher `seq`, it is a later snapshot."""
    for folder in ("packages", "stars", "snapshots"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    galaxy = GalaxyFixture(path, GalaxyName.parse(name), signers)
    write_index(galaxy, [write_spec(galaxy, spec, seq) for spec in stars], seq=seq, signed=signed)
    return galaxy


def index_by_stellar(galaxy: GalaxyFixture, number: int | None = INDEX_FORMAT) -> Indexed:
    """Index the galaxy's folder as `stellar index-galaxy` does: in the newest format, and with a catalogue."""
    return index_galaxy(
        GalaxyFolder(root=galaxy.path),
        authors=[],
        galaxies=[galaxy.signers["galaxy"]],
        today="2026.01.02",
        reporter=Silent(),
        number=number,
    )


def write_spec(galaxy: GalaxyFixture, spec: StarSpec, seq: int = 1, **lies: Any) -> Listed:
    """Write one star's archive and signed statement, and return its row in the index.

    `lies` replace fields of the statement: the author signs false values.
    """
    row, files = spec_files(spec, galaxy.name, galaxy.signers, seq, **lies)
    _write(galaxy, files)
    if not spec.signed:
        Path(f"{galaxy.statement(spec.star().id)}.dsse").unlink(missing_ok=True)
    return row


def spec_files(
    spec: StarSpec, galaxy: GalaxyName, signers: Signers, seq: int = 1, **lies: Any
) -> tuple[Listed, dict[str, bytes]]:
    """Return the row of one star in the index, and its files in the galaxy by path."""
    star, script = spec.star(), spec.script.encode() if spec.script is not None else None
    packed = write_star(star, script, spec.entries(), level=3)
    archive = bytes(packed.data)  # a large one lies in a spool
    statement = Statement(
        star=star,
        galaxy=galaxy,
        seq=seq,
        archive=Digest.of(archive),
        file=f"packages/{star.id}.tar.zst",
        size_bytes=len(archive),
        unpacked_bytes=packed.unpacked_bytes,
        script=Digest.of(script) if script is not None else None,
        content=content_root(ManifestLine.of(entry) for entry in spec.entries()),
    )
    statement = replace(statement, **lies)
    data = tomli_w.dumps(statement.to_toml()).encode()
    files = {f"packages/{star.id}.tar.zst": archive, f"stars/{star.id}.toml": data}
    if spec.signed:
        files[f"stars/{star.id}.toml.dsse"] = (spec.signer or signers["author"]).sign(STAR_TYPE, data)
    row = Listed(name=star.name, version=star.version, statement=Digest.of(data), archive=statement.archive)
    return row, files


def write_index(galaxy: GalaxyFixture, rows: Iterable[Listed], *, seq: int = 1, signed: bool = True) -> None:
    """Write the galaxy's index of `rows`, and its kept copy."""
    for name in ("meta.toml", f"snapshots/{seq}.toml"):
        (galaxy.path / f"{name}.dsse").unlink(missing_ok=True)
    _write(galaxy, index_files(galaxy.name, rows, galaxy.signers, seq=seq, signed=signed))


def index_files(
    galaxy: GalaxyName, rows: Iterable[Listed], signers: Signers, *, seq: int = 1, signed: bool = True
) -> dict[str, bytes]:
    """Return the files of a galaxy's index of `rows`, and of its kept copy, by path."""
    listed = sorted(rows, key=lambda row: (row.name, row.version))
    newest = {row.name: row for row in listed}
    index = GalaxyIndex(
        name=galaxy,
        description="a galaxy of a test",
        version="2026.01.01",
        seq=seq,
        newest={name: row.version for name, row in newest.items()},
        checksums={name: row.archive for name, row in newest.items()},
        snapshot=tuple(listed),
    )
    data = tomli_w.dumps(index.to_toml()).encode()
    files = {}
    for name in ("meta.toml", f"snapshots/{seq}.toml"):
        files[name] = data
        if signed:
            files[f"{name}.dsse"] = signers["galaxy"].sign(GALAXY_TYPE, data)
    return files


def galaxy_files(name: str, stars: Sequence[StarSpec], signers: Signers, *, seq: int = 1) -> dict[str, bytes]:
    """Return the files of a galaxy with these stars, by path."""
    galaxy, rows, files = GalaxyName.parse(name), [], {}
    for spec in stars:
        row, of_star = spec_files(spec, galaxy, signers, seq)
        rows.append(row)
        files |= of_star
    return files | index_files(galaxy, rows, signers, seq=seq)


def _write(galaxy: GalaxyFixture, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (galaxy.path / name).write_bytes(data)
