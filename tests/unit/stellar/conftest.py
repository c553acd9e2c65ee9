"""What the maintainer's deeds are tested with: source folders, keys, and an archive of packages in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import Arch, GalaxyName, KeyName
from cosmos.stellar.build_star import Workshop
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.programs import HostPrograms
from cosmos.trust.roles import Role
from fakes.debs import FakeArchive, ecosystems_on
from fakes.reporters import Remembering

TODAY = "2026.01.02"
MakeFolder = Callable[..., Path]


@pytest.fixture
def archive() -> FakeArchive:
    """An archive with nothing in it yet."""
    return FakeArchive()


@pytest.fixture
def reporter() -> Remembering:
    return Remembering()


@pytest.fixture
def workshop(archive: FakeArchive, reporter: Remembering, tmp_path: Path) -> Workshop:
    return Workshop(
        ecosystems=ecosystems_on(archive, tmp_path / "home", reporter),
        machine=Arch("x86_64"),
        programs=lambda epoch: HostPrograms(epoch=epoch, reporter=reporter),
        level=3,
        epoch=None,
        reporter=reporter,
    )


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write a source folder: its recipe, and files by path (`install.lua`, `files/…`)."""

    def make(recipe: str, files: Mapping[str, str | bytes] | None = None, *, name: str = "hello") -> Path:
        folder = tmp_path / "stars" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "star.toml").write_text(recipe)
        for path, text in (files or {}).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return make


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFolder:
    return init_galaxy(tmp_path / "galaxy", GalaxyName("core"), "for tests", TODAY)


@pytest.fixture
def key() -> Callable[..., SecretKey]:
    """Make a key for a role."""

    def make(role: Role, name: str = "") -> SecretKey:
        return SecretKey.generate(KeyName(name or role), role)

    return make
