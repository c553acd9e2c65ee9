"""The system that runs: what commands about trust speak of where neither a home nor a root was named."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cosmos.cli.terminal import HOME_FOLDER, surroundings
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
