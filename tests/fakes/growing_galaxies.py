"""Galaxies that grow snapshot by snapshot, and unsigned ones as upstream publishes them.

galaxy = grow_galaxy(tmp_path, "core", [StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"…"})])
galaxy.add(StarSpec("nano", "7.2.0", dependencies={"zlib": "^1"}))     # the next snapshot
pin(galaxy.keys, home)             # what `cosmos trust init` does
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.anchors import accept_trust, home_anchor
from cosmos.keyring.secret_key import SecretKey
from cosmos.keyring.state import home_state
from cosmos.model.galaxy import Listed
from cosmos.model.names import GalaxyName, KeyName
from cosmos.trust.roles import TRUST_TYPE
from cosmos.trust.roots import TrustRoots
from fakes.galaxies import ROLES, GalaxyFixture, Signers, StarSpec, make_galaxy, write_index, write_spec


def new_signers() -> Signers:
    """Return new keys, which no other test has."""
    return Signers({role: SecretKey.generate(KeyName.parse(f"new-{role}"), role) for role in ROLES})


def pin(signers: Signers, home: Path, **fields: Any) -> None:
    """Accept trust anchors for `signers` in a builder's home, in place of any that were there."""
    data = tomli_w.dumps(replace(signers.roots(), **fields).to_toml()).encode()
    home_anchor(home).remove()
    home_state(home).file.remove()
    home.mkdir(parents=True, exist_ok=True)
    (home / "trust-to-accept.toml").write_bytes(data)
    accept_trust(home / "trust-to-accept.toml", Digest.of(data), home_anchor(home))


@dataclass
class GrowingGalaxy:
    """A signed galaxy in which every change is the next snapshot."""

    fixture: GalaxyFixture
    seq: int = 0
    rows: dict[tuple[str, str], Listed] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.fixture.path

    @property
    def keys(self) -> Signers:
        """The keys that sign it."""
        return self.fixture.signers

    def file(self, name: str) -> Path:
        """A file of the galaxy: `meta.toml`, `stars/zlib-1.3.1.toml.dsse`, …"""
        return self.path / name

    def add(self, *stars: StarSpec, author: SecretKey | None = None, galaxy: str | None = None) -> None:
        """Publish `stars` in the next snapshot; by default signed by this galaxy's author, for this galaxy."""
        stated = replace(self.fixture, name=GalaxyName(galaxy)) if galaxy is not None else self.fixture
        for spec in stars:
            signed = replace(spec, signer=author) if author is not None else spec
            self.rows[spec.name, spec.version] = write_spec(stated, signed, self.seq + 1)
        self.index()

    def withdraw(self, name: str, version: str) -> None:
        """Remove a version in the next snapshot; its files stay, because an older lock needs them."""
        del self.rows[name, version]
        self.index()

    def index(self, *, seq: int | None = None, key: SecretKey | None = None) -> None:
        """Write and sign the next snapshot of the published stars."""
        self.seq = self.seq + 1 if seq is None else seq
        signers = Signers({**self.keys.keys, "galaxy": key}) if key is not None else self.keys
        write_index(replace(self.fixture, signers=signers), self.rows.values(), seq=self.seq)


def grow_galaxy(
    folder: Path, name: str = "core", stars: Iterable[StarSpec] = (), *, keys: Signers | None = None
) -> GrowingGalaxy:
    """Return a new signed galaxy at `folder`/NAME with `stars`, its seq 1."""
    galaxy = GrowingGalaxy(make_galaxy(folder / name, name, (), keys or new_signers()))
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
        manifest = spec.star().to_toml() | {"source": f"./packages/{spec.name}-{spec.version}.tar.gz", "upstream": True}
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
        members |= {
            f"files/{entry.path.text}": bytes(entry.content) for entry in spec.entries() if entry.kind == "file"
        }
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def carry(galaxy: Path, roots: TrustRoots, signers: Signers, *, key: SecretKey | None = None) -> None:
    """Put `roots` into the folder `trust` of a galaxy, signed by the root key (or by `key`)."""
    folder = galaxy / "trust"
    folder.mkdir(exist_ok=True)
    data = tomli_w.dumps(roots.to_toml()).encode()
    (folder / f"{roots.version}.toml").write_bytes(data)
    (folder / f"{roots.version}.toml.dsse").write_bytes((key or signers["root"]).sign(TRUST_TYPE, data))
