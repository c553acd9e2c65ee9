"""Whose trust anchors a command speaks of: a builder's home, a system below a root, or the one that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cosmos.cli.terminal import HOME_FOLDER, surroundings
from cosmos.keyring.anchors import home_anchor, system_anchor
from cosmos.keyring.state import StateFile, home_state, system_state
from cosmos.model.universe import UNIVERSE_PATH

RUNNING: Final = Path("/")


def root_here(context: click.Context, _option: click.Parameter, root: Path | None) -> Path | None:
    """Return the root that was named, or the running system's where no home was named and none is near; a callback.

    The option `--home` must stand above the one that calls this.
    """
    if root is not None or context.params.get("home") is not None:
        return root
    if surroundings().home(None).name == HOME_FOLDER or not (RUNNING / UNIVERSE_PATH.text).is_file():
        return None
    return RUNNING


def places(home: Path | None, root: Path | None) -> tuple[Path, StateFile]:
    """Return where the trust anchors and the memory lie: of the system at `root`, or else of the builder's home."""
    if root is not None:
        return system_anchor(root), system_state(root)
    found = surroundings().home(home)
    return home_anchor(found), home_state(found)
