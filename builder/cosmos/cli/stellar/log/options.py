"""Options that the commands of `stellar log` share, and the keys that they judge by."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER
from cosmos.cli.terminal import surroundings
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.trust.roots import TrustRoots

home_option = click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="Whose pinned keys to judge by.")


def pinned_roots(home: Path | None, near: Path) -> TrustRoots:
    """Return the trust anchors of the builder's home: as named, or the nearest to `near`."""
    return load_trust(home_anchor(surroundings().home(home, near=near))).roots
