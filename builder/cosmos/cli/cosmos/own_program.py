"""Which program runs, told in a few milliseconds: its own bytes, and the names of the libraries beside it."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cosmos
from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.image.program_files import dir_hash


def own_package() -> Path | None:
    """Return the folder of the `cosmos` package; None in the single-file binary."""
    return None if getattr(sys, "frozen", False) else Path(cosmos.__file__).parent


def own_terms() -> Json:
    """Return what tells this program from any other: its Python, its bytes, its libraries with their versions."""
    package = own_package()
    if package is None:
        with Path(sys.executable).open("rb") as stream:
            return [sys.version, Digest.of_stream(stream).hex]
    return [sys.version, own_sources(package), *_libraries()]


@cache
def own_sources(package: Path) -> str:
    """Return the `dirHash` of the running program's sources, which do not change while it runs."""
    return dir_hash(package)


def _libraries() -> list[str]:
    """Return the names of what pip installed beside the compressor: they hold the versions."""
    spec = find_spec("zstandard")
    folder = None if spec is None or spec.origin is None else Path(spec.origin).parents[1]
    return [] if folder is None else sorted(path.name for path in folder.glob("*.dist-info"))
