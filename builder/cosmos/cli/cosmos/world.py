"""Make the `World` of the commands that build: its home, and its reporter of progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from cosmos.cli.network import network
from cosmos.cli.terminal import surroundings
from cosmos.image.home import Home
from cosmos.image.kept_release import Place
from cosmos.model.reporter import Reporter
from cosmos.staging.vendored import is_vendored
from cosmos.stamps import Seen


def world_at(
    home: Path | None,
    near: Path,
    *,
    offline: bool,
    quiet: bool,
    origin: Path | None = None,
    reporter: Reporter | None = None,
    known: Mapping[Place, Seen] | None = None,
) -> Home:
    """Return the builder's world: its home as named, or the nearest to `near`.

    Its store is held until the command ends. With a vendored folder as `origin`, no galaxy is remote. So its galaxies
    are read also offline.
    """
    around = surroundings()
    world = Home(
        home=around.home(home, near=near),
        offline=offline and not (origin is not None and is_vendored(origin)),
        reporter=reporter or around.reporter(quiet=quiet),
        origin=origin,
        network=network(),
        known=known or {},
    )
    click.get_current_context().with_resource(world.held())
    return world
