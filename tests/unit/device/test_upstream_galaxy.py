"""A galaxy as upstream publishes it: unsigned, no statements. It installs where the operator allowed that, not else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from cosmos.device.freeze import freeze_system
from cosmos.device.install import Order, install
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.verify import verify_system
from cosmos.errors import Refused
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import Silent
from cosmos.model.settings import Settings
from cosmos.resolve.resolving import Wish

ORDER = Order(
    wishes=[Wish(who="user", name=StarName("hello"), constraint=ANY_VERSION)], offline=False, epoch=1_767_225_600
)


class Ear(Silent):
    """A reporter that remembers what it was warned of."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def warn(self, text: str) -> None:
        self.heard.append(text)


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = tmp_path / "upstream"
    for name in ("stars", "packages"):
        (folder / name).mkdir(parents=True)
    (folder / "meta.toml").write_text('name = "up"\nversion = "2025.04.01"\n[stars]\nhello = "1.0.0"\n')
    (folder / "stars/hello.toml").write_text(
        'name = "hello"\nversion = "1.0.0"\ntype = "normal"\nsource = "./packages/hello-1.0.0.tar.gz"\n'
        'install_script = "install.lua"\n'
    )
    script = b'function install()\n  copy("hello", "/usr/bin/hello")\n  chmod("/usr/bin/hello", 493)\nend\n'
    with tarfile.open(folder / "packages/hello-1.0.0.tar.gz", "w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("files/hello", b"#!/bin/sh\necho hello\n"), ("install.lua", script)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder


def take_from(system: Path, folder: Path, *, allow_unsigned: bool) -> None:
    source = GalaxySource(name=GalaxyName("up"), url=str(folder), allow_unsigned=allow_unsigned)
    with LiveRoot.open(system) as root:
        write_settings(root, Settings(galaxies=(source,)))


def test_upstreams_star_installs_unchanged_where_that_is_allowed(system: Path, upstream: Path) -> None:
    take_from(system, upstream, allow_unsigned=True)
    ear = Ear()
    with LiveRoot.open(system) as root:
        install(root, ORDER, ear)
        lock = freeze_system(root, Silent(), offline=False).lock
    assert (system / "usr/bin/hello").stat().st_mode & 0o7777 == 0o755
    assert any("nobody signed it" in line for line in ear.heard)
    assert verify_system(system).is_good
    assert lock.galaxies[0].allow_unsigned
    assert lock.stars[0].signers == ()


def test_nothing_unsigned_installs_where_nobody_allowed_it(system: Path, upstream: Path) -> None:
    take_from(system, upstream, allow_unsigned=False)
    with LiveRoot.open(system) as root, pytest.raises(Refused):
        install(root, ORDER, Silent())
    assert not (system / "usr").exists()
