"""Make the `World` of the commands that build: its home, and its reporter of progress."""

from __future__ import annotations

from pathlib import Path

from cosmos.cli.network import network
from cosmos.cli.terminal import surroundings
from cosmos.image.home import Home


def world_at(home: Path | None, near: Path, *, offline: bool, quiet: bool) -> Home:
    """Return the builder's world: its home as named, or the nearest to `near`."""
    around = surroundings()
    return Home(
        home=around.home(home, near=near),
        offline=offline,
        reporter=around.reporter(quiet=quiet),
        network=network(),
    )
