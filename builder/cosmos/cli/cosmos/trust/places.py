"""Choose the trust anchors of a command: of a builder's home, of a system in a folder, or of the running system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from cosmos.cli.terminal import HOME_FOLDER, surroundings
from cosmos.device.journal import at_work
from cosmos.device.memory import SystemState, system_anchor
from cosmos.device.root import LiveRoot
from cosmos.errors import WorldFailed
from cosmos.folders import FileIn
from cosmos.keyring.anchors import home_anchor
from cosmos.keyring.state import State, home_state
from cosmos.limits import SETTINGS_SECONDS
from cosmos.model.universe import UNIVERSE_PATH

RUNNING: Final = Path("/")


def root_here(context: click.Context, _option: click.Parameter, root: Path | None) -> Path | None:
    """Return the named root, or the running system's root if no home was named and no home is near. A callback.

    The option `--home` must be above the option that calls this.
    """
    if root is not None or context.params.get("home") is not None:
        return root
    if not (RUNNING / UNIVERSE_PATH.text).is_file():
        return None
    try:
        is_near = surroundings().home(None).name == HOME_FOLDER
    except WorldFailed:  # a user without a folder of their own, as on many a device
        is_near = False
    return None if is_near else RUNNING


@contextmanager
def places(home: Path | None, root: Path | None) -> Iterator[tuple[FileIn, State]]:
    """Give the trust anchors and the memory to read: of the system at `root`, or else of the builder's home."""
    if root is None:
        yield _of_home(home)
        return
    with LiveRoot.open(root) as live:
        yield system_anchor(live), SystemState(live)


@contextmanager
def places_to_change(home: Path | None, root: Path | None) -> Iterator[tuple[FileIn, State]]:
    """Give what `places` gives, and be the only writer of the system meanwhile."""
    if root is None:
        yield _of_home(home)
        return
    with LiveRoot.open(root) as live, at_work(live, SETTINGS_SECONDS):
        yield system_anchor(live), SystemState(live)


def _of_home(home: Path | None) -> tuple[FileIn, State]:
    found = surroundings().home(home)
    return home_anchor(found), home_state(found)
