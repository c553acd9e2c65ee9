"""The options that the commands of `stellar log` share, and the pinned keys that they use."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER
from cosmos.cli.terminal import surroundings
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.trust.roots import TrustRoots

home_option = click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="The builder's home with the pinned keys.")


def pinned_roots(home: Path | None, near: Path) -> TrustRoots:
    """Return the trust anchors of the builder's home: as named, or the nearest to `near`."""
    return load_trust(home_anchor(surroundings().home(home, near=near))).roots
