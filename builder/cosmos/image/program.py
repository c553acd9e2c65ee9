"""The program that builds, as a release names it: its versions, its own bytes, and the libraries that it runs with.

The single-file binary holds all of itself, so its SHA-256 is enough. A source tree is named by its `dirHash` (in-toto
attestation framework, DigestSet), which anybody can compute, without Python's caches:

    cd builder/cosmos && find . -type f -not -path '*/__pycache__/*' | cut -c3- | LC_ALL=C sort |
        xargs -r sha256sum | sha256sum

Its libraries are named with their versions. What differs between machines and may change no byte of an image (kernel,
processor, bubblewrap) is not named: two builders of the same program write the same RELEASE.json.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cosmos.about import VERSION
from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.model.release import Builder
from cosmos.pack.zst import ZSTD_VERSION

_LIBRARIES: Final = ("jinja2", "lupa", "markupsafe", "pynacl", "tomli-w", "zstandard")  # that build and judge images


def described_binary(file: Path) -> Builder:
    """Return the builder that is the single-file binary `file`."""
    with file.open("rb") as stream:
        digest = Digest.of_stream(stream)
    return Builder(versions=_versions(), parts=({"name": "cosmos", "digest": {"sha256": digest.hex}},))


def described_sources(sources: str) -> Builder:
    """Return the builder that runs from sources with this `dirHash` (image.program_files)."""
    tree: Json = {"name": "builder/cosmos", "digest": {"dirHash": sources}}
    return Builder(versions=_versions(), parts=(tree, *_libraries()))


def _libraries() -> Iterator[Json]:
    records = _records()
    for name in _LIBRARIES:
        version = _recorded_version(records[name]) if name in records else _version_elsewhere(name)
        if version is not None:  # a packager may keep a library without records; the tree still names itself
            yield {"name": name, "uri": f"pkg:pypi/{name}@{version}"}


def _records() -> dict[str, Path]:
    """Return the METADATA of what is installed in folders, by name: the first one of a name counts."""
    found: dict[str, Path] = {}
    for place in map(Path, sys.path):
        for file in sorted(place.glob("*.dist-info/METADATA")):
            name = re.sub(r"[-_.]+", "-", file.parent.name.partition("-")[0]).lower()
            found.setdefault(name, file)
    return found


def _recorded_version(metadata: Path) -> str | None:
    """Return the version in a METADATA file (Core metadata specifications): a field before the first empty line."""
    fields, _, _ = metadata.read_text("utf-8", "replace").partition("\n\n")
    stated = re.search(r"^Version: *(\S+)$", fields, re.MULTILINE)
    return None if stated is None else stated[1]


def _version_elsewhere(name: str) -> str | None:
    """Return the version of a library with other records, for example in an archive."""
    from importlib import metadata  # it loads a reader of mail: 30 ms

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> dict[str, str]:
    return {"cosmos": VERSION, "python": sys.version.split()[0], "zstd": ZSTD_VERSION}
