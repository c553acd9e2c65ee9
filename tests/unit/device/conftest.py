"""What several tests of the device's room need."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tomli_w

from cosmos.device.root import LiveRoot
from cosmos.device.settings import Settings, write_settings
from cosmos.device.system import TRUST_PATH, initialise
from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName, KeyName, StarName
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import Constraint, Version
from cosmos.pack.star_archive import write_star
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath
from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach: pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="cosmos-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], str]], str]:
    """Run something in a child that has given up root's rights, and return the text that it answers."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def run(work: Callable[[], str]) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                answer = work()
            except BaseException as error:
                answer = f"{type(error).__name__}: {error}"
            os.write(writing, answer.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            answer = stream.read().decode()
        os.waitpid(child, 0)
        return answer

    return run


@dataclass
class GalaxyMaker:
    """Makes a signed galaxy in a folder, and the trust document that pins its keys."""

    folder: Path
    name: str = "core"
    seq: int = 0
    rows: list[Listed] = field(default_factory=list)
    root_key: SecretKey = field(default_factory=lambda: SecretKey.generate(KeyName("root"), "root"))
    galaxy_key: SecretKey = field(default_factory=lambda: SecretKey.generate(KeyName("mirror"), "galaxy"))
    author_key: SecretKey = field(default_factory=lambda: SecretKey.generate(KeyName("carol"), "author"))

    def star(
        self,
        name: str,
        version: str = "1.0.0",
        files: Mapping[str, bytes | Entry] | None = None,
        *,
        script: bytes | None = None,
        signed_by: SecretKey | None = None,
        **fields: object,
    ) -> Statement:
        """Add a star to the galaxy and its index; `files` maps a path to bytes, or to an entry."""
        entries = [
            what if isinstance(what, Entry) else Entry(path=TreePath.parse(path), kind="file", mode=0o644, content=what)
            for path, what in (files or {}).items()
        ]
        dependencies = fields.pop("dependencies", {})
        manifest = Star(
            name=StarName(name),
            version=Version.parse(version),
            install_script="install.lua" if script else "",
            dependencies={StarName(key): Constraint.parse(limit) for key, limit in dependencies.items()},
            **fields,
        )
        packed = write_star(manifest, script, entries, level=3)
        file = f"packages/{manifest.id}.tar.zst"
        statement = Statement(
            star=manifest,
            galaxy=GalaxyName(self.name),
            seq=self.seq + 1,
            archive=Digest.of(packed.data),
            file=file,
            size_bytes=len(packed.data),
            unpacked_bytes=packed.unpacked_bytes,
            script=Digest.of(script) if script else None,
            content=content_root(ManifestLine.of(entry) for entry in entries),
        )
        data = tomli_w.dumps(statement.to_toml()).encode()
        self._write(file, packed.data)
        self._write(f"stars/{manifest.id}.toml", data)
        self._write(f"stars/{manifest.id}.toml.dsse", (signed_by or self.author_key).sign(STAR_TYPE, data))
        row = Listed(name=manifest.name, version=manifest.version, statement=Digest.of(data), archive=statement.archive)
        self.rows = [known for known in self.rows if (known.name, known.version) != (row.name, row.version)] + [row]
        self.index()
        return statement

    def index(self) -> None:
        """Write and sign the index anew."""
        self.seq += 1
        newest = {row.name: row for row in sorted(self.rows, key=lambda row: row.version)}
        index = GalaxyIndex(
            name=GalaxyName(self.name),
            version="2026.01.01",
            seq=self.seq,
            newest={name: row.version for name, row in newest.items()},
            checksums={name: row.archive for name, row in newest.items()},
            snapshot=tuple(self.rows),
        )
        data = tomli_w.dumps(index.to_toml()).encode()
        for path in ("meta.toml", f"snapshots/{self.seq}.toml"):
            self._write(path, data)
            self._write(f"{path}.dsse", self.galaxy_key.sign(GALAXY_TYPE, data))

    def trust(self) -> bytes:
        """Return the trust document that pins this galaxy's keys."""
        roots = TrustRoots(
            version=1,
            roles={
                "root": RoleKeys(threshold=1, keys=(self.root_key.public,)),
                "galaxy": RoleKeys(threshold=1, keys=(self.galaxy_key.public,)),
            },
            authors=(AuthorKey(key=self.author_key.public, galaxies=("*",), stars=("*",)),),
        )
        return tomli_w.dumps(roots.to_toml()).encode()

    def _write(self, path: str, data: bytes) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyMaker:
    """An empty signed galaxy called core."""
    maker = GalaxyMaker(tmp_path / "galaxy")
    maker.index()
    return maker


@pytest.fixture
def system(tmp_path: Path, galaxy: GalaxyMaker) -> Path:
    """An empty system that trusts the galaxy `core` and takes its stars from it."""
    root = tmp_path / "system"
    root.mkdir()
    with LiveRoot.open(root) as live:
        initialise(live, arch=Arch("x86_64"), version="1")
        source = GalaxySource(name=GalaxyName("core"), url=str(galaxy.folder))
        write_settings(live, Settings(galaxies=(source,)))
        live.replace_document(TRUST_PATH, galaxy.trust())
    return root
