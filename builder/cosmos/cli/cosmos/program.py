"""Which program runs: the single-file binary, or a source tree."""

from __future__ import annotations

import sys
from pathlib import Path

from cosmos.cli.cosmos.own_program import own_package, own_sources
from cosmos.image.home import program_identity
from cosmos.image.program import described_binary, described_sources
from cosmos.model.release import Builder


def own_identity() -> str:
    """Return the identity that the layers in the store are kept under."""
    return program_identity(own_package())


def own_description() -> Builder:
    """Return the builder that RELEASE.json names."""
    package = own_package()
    return described_binary(Path(sys.executable)) if package is None else described_sources(own_sources(package))
