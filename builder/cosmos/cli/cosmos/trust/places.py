"""Choose the trust anchors of a command: of a builder's home, of a system in a folder, or of the running system."""

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
    """Return the named root, or the running system's root if no home was named and no home is near. A callback.

    The option `--home` must be above the option that calls this.
    """
    if root is not None or context.params.get("home") is not None:
        return root
    if surroundings().home(None).name == HOME_FOLDER or not (RUNNING / UNIVERSE_PATH.text).is_file():
        return None
    return RUNNING


def places(home: Path | None, root: Path | None) -> tuple[Path, StateFile]:
    """Return the paths of the trust anchors and the memory: of the system at `root`, or else of the builder's home."""
    if root is not None:
        return system_anchor(root), system_state(root)
    found = surroundings().home(home)
    return home_anchor(found), home_state(found)
