"""The documents inside an image: `/var/lib/cosmos/universe.toml`, and the trust anchors if image.toml names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import tomli_w

from cosmos.image.workshop.layers import StarLayer
from cosmos.limits import MAX_UNIVERSE_BYTES, demand_within
from cosmos.model.image import Image
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.tree.entry import Entry
from cosmos.tree.installed import installed
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.tree.overlay import Overlaid
from cosmos.treepath import TreePath

TRUST_PATH = TreePath(b"etc/cosmos/trust.toml")


def universe_entry(image: Image, lock: Lock, layers: Mapping[StarName, StarLayer], tree: Overlaid) -> Entry:
    """Return `/var/lib/cosmos/universe.toml`: every star with the entries that it still owns in the tree.

    The content root in it leaves out this file, because a file cannot name its own digest. Raises `Refused` if the file
    is too large for its readers.
    """
    stars = {star.name: installed(star, _owned(star.name, layers[star.name].lines, tree)) for star in lock.stars}
    universe = Universe(
        arch=image.arch,
        version=str(image.version),
        image=str(image.name),
        content_root=content_root(tree.lines.values()),
        installed=stars,
    )
    data = tomli_w.dumps(universe.to_toml()).encode()
    demand_within(len(data), MAX_UNIVERSE_BYTES, f"/{UNIVERSE_PATH.text}", hint="make two images of it")
    return Entry(path=UNIVERSE_PATH, kind="file", mode=0o644, mtime=image.source_date_epoch, content=data)


def trust_entry(trust: bytes, epoch: int) -> Entry:
    """Return the entry of the trust anchors that the image definition names."""
    return Entry(path=TRUST_PATH, kind="file", mode=0o644, mtime=epoch, content=trust)


def _owned(star: StarName, lines: Iterable[ManifestLine], tree: Overlaid) -> Iterator[ManifestLine]:
    """Return those of a star's lines that it still owns, without folders."""
    return (line for line in lines if tree.owners.get(line.path) == star and line.kind != "dir")
