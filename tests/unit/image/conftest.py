"""A world in memory with a small galaxy, in which an image can be frozen and built in milliseconds."""

from __future__ import annotations

import pytest

from fakes.carriers import MemoryCarrier
from fakes.galaxies import StarSpec, galaxy_files, make_signers
from fakes.worlds import MemoryWorld

ZLIB = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"zlib" * 100})
NANO = StarSpec("nano", "7.2.0", {"usr/bin/nano": b"nano" * 50, "etc/nanorc": b"set"}, {"zlib": "^1.3"})


@pytest.fixture
def world() -> MemoryWorld:
    """A world whose only galaxy, core, lists zlib and nano, which needs zlib."""
    world = MemoryWorld(make_signers())
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", [ZLIB, NANO], world.signers))
    return world
