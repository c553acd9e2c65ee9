"""What several tests of the device's room need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName
from cosmos.model.settings import Settings
from cosmos.tree.entry import Entry
from fakes.galaxies import StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.users import become, open_to_all

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach: pytest's own are closed."""
    with open_to_all() as folder:
        yield folder


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
                become(NOBODY)
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


class GrowingGalaxy:
    """A signed galaxy that gets one star after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = make_signers()
        self._made = make_galaxy(folder, "core", (), self.signers)
        self._rows: list[Listed] = []
        self._seq = 1

    def star(
        self, name: str, version: str = "1.0.0", files: Mapping[str, bytes | Entry] | None = None, **fields: Any
    ) -> None:
        """Add a star (see `StarSpec`) in a new snapshot of the galaxy."""
        self._seq += 1
        self._rows.append(write_spec(self._made, StarSpec(name, version, files or {}, **fields), self._seq))
        write_index(self._made, self._rows, seq=self._seq)

    def drop(self, row: int) -> None:
        """Take a star out of the index again."""
        self._seq += 1
        del self._rows[row]
        write_index(self._made, self._rows, seq=self._seq)

    def trust(self) -> bytes:
        """Return the trust document that pins this galaxy's keys."""
        return tomli_w.dumps(self.signers.roots().to_toml()).encode()


@pytest.fixture
def galaxy(tmp_path: Path) -> GrowingGalaxy:
    """An empty signed galaxy called core."""
    return GrowingGalaxy(tmp_path / "galaxy")


@pytest.fixture
def system(tmp_path: Path, galaxy: GrowingGalaxy) -> Path:
    """An empty system that trusts the galaxy `core` and takes its stars from it."""
    root = tmp_path / "system"
    root.mkdir()
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
        source = GalaxySource(name=GalaxyName("core"), url=str(galaxy.folder))
        write_settings(live, Settings(galaxies=(source,)))
        live.replace_document(TRUST_PATH, galaxy.trust())
    return root
