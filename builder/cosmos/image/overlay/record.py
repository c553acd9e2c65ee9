"""The documents inside an image: `/var/lib/cosmos/universe.toml`, and the trust anchors if image.toml names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from cosmos.image.workshop.layers import StarLayer
from cosmos.image.workshop.unread import Unread
from cosmos.limits import MAX_UNIVERSE_BYTES, demand_within
from cosmos.model.image import Image
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.tree.entry import Entry
from cosmos.tree.installed import RecordedLine, installed, installed_entry, recorded_line
from cosmos.tree.manifest import content_root
from cosmos.tree.overlay import IMPLIED, TEMPLATE, Overlaid
from cosmos.treepath import TreePath

TRUST_PATH = TreePath(b"etc/cosmos/trust.toml")


def universe_entry(
    image: Image,
    lock: Lock,
    layers: Mapping[StarName, StarLayer],
    said: Mapping[StarName, Star],
    tree: Overlaid,
    own: Mapping[TreePath, Entry],
    finished: Collection[TreePath],
) -> Entry:
    """Return `/var/lib/cosmos/universe.toml`: every star with the entries that it still owns, and the image's own.

    `said` are the stars' signed manifests, `own` the entries of the image's own layer, and `finished` the paths that
    the finish script wrote or changed. The content root in the document leaves out the document, because a file cannot
    name its own digest. Raises `Refused` if the file is too large for its readers.
    """
    record = _Record(tree, own, lock.build.source_date_epoch)
    ours = [path for path, owner in tree.owners.items() if owner == TEMPLATE]
    layers_of_image = {
        "template": record.of_image(path for path in ours if path not in finished),
        "finish": record.of_image(path for path in ours if path in finished),
    }
    stars = {
        star.name: installed(star, said[star.name], record.of_star(star.name, layers[star.name])) for star in lock.stars
    }
    universe = Universe(
        arch=image.arch,
        version=str(image.version),
        image=str(image.name),
        content_root=content_root(tree.lines.values()),
        installed=stars,
        layers={name: entries for name, entries in layers_of_image.items() if entries},
    )
    data = universe.rendered()
    demand_within(len(data), MAX_UNIVERSE_BYTES, f"/{UNIVERSE_PATH.text}", hint="make two images of it")
    return Entry(path=UNIVERSE_PATH, kind="file", mode=0o644, mtime=image.source_date_epoch, content=data)


def trust_entry(trust: bytes, epoch: int) -> Entry:
    """Return the entry of the trust anchors that the image definition names."""
    return Entry(path=TRUST_PATH, kind="file", mode=0o644, mtime=epoch, content=trust)


class _Record:
    """The record of an image's entries, star by star in the lock's order."""

    def __init__(self, tree: Overlaid, own: Mapping[TreePath, Entry], epoch: int) -> None:
        self._tree = tree
        self._own = own
        self._epoch = epoch
        self._made: set[TreePath] = set()  # folders that no layer names, of the image's layers and the stars so far

    def of_star(self, star: StarName, layer: StarLayer) -> Iterator[RecordedLine]:
        """Yield the entries of `star`, in byte order of path: what it still owns, and its folders."""
        owned = [line.path for line in layer.lines if line.kind != "dir" and self._owner(line.path) == star]
        named = {line.path for line in layer.lines if line.kind == "dir"}
        implied = self._implied(owned)
        shared = {path for path in named if self._owner(path) != star} | (implied & self._made)
        self._made |= implied
        times = {line.path: time for line, time in zip(layer.lines, layer.times, strict=True) if line.kind != "dir"}
        for path in sorted({*owned, *named, *implied}):
            mtime = min(times.get(path, self._epoch), self._epoch)  # a folder has the image's own time
            yield recorded_line(self._tree.lines[path], mtime=mtime, is_shared=path in shared)

    def of_image(self, paths: Iterable[TreePath]) -> list[InstalledEntry]:
        """Return the entries of one of the image's own layers, which owns `paths`. The stars' entries come after it."""
        owned = list(paths)
        implied = self._implied(owned) - self._made
        self._made |= implied
        return [
            installed_entry(self._tree.lines[path], mtime=self._time_of_own(path), by_star=False)
            for path in sorted({*owned, *implied})
        ]

    def _time_of_own(self, path: TreePath) -> int:
        """Return the time that image.outputs.packing gives an entry of the image's own layer."""
        entry = self._own.get(path)
        if entry is None or entry.kind == "dir" or isinstance(entry.content, Unread):
            return self._epoch
        return min(entry.mtime, self._epoch)

    def _implied(self, paths: Iterable[TreePath]) -> set[TreePath]:
        seen: set[TreePath] = set()
        for path in paths:
            above = path.parent
            while above and above not in seen:
                seen.add(above)
                above = above.parent
        return {above for above in seen if self._owner(above) == IMPLIED}

    def _owner(self, path: TreePath) -> str | None:
        return self._tree.owners.get(path)
