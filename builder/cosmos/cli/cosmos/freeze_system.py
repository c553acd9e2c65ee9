"""The part of `cosmos freeze` for a system: write the lock of the installed stars."""

from __future__ import annotations

from pathlib import Path

from cosmos.cli.cosmos.arguments import naming_instead
from cosmos.cli.network import network
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.freeze import freeze_system
from cosmos.device.root import LiveRoot, shown
from cosmos.model.reporter import counted


def freeze_live(root: Path | None, offline: bool, as_json: bool) -> None:
    """Write the lock of the stars that are installed on the system at `root`: `cosmos freeze` without an image."""
    around = surroundings()
    with naming_instead(root, "an image: cosmos freeze IMAGE"), LiveRoot.open(root or Path("/")) as live:
        frozen = freeze_system(live, around.reporter(quiet=as_json), network(), offline=offline)
    stars = len(frozen.lock.stars)
    if as_json:
        emit({"lock": shown(frozen.path), "stars": stars, "changed": frozen.changed})
        return
    say(f"{shown(frozen.path)}: {'written' if frozen.changed else 'unchanged'}, {counted(stars, 'star')}")
