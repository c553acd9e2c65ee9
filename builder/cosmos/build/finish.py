"""The image's own layer: the template, the finish script's changes, and the record of what is installed.

The finish script (`finish = "finish.lua"` in image.toml) runs last and may touch any path. What it changes moves into
this layer, whoever owned it before. Files are not read by scripts, so the tree that it sees has no bytes; a file that
it changes (its mode, say) gets them from the layer that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import tomli_w

from cosmos.build.layers import StarLayer, Unread
from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_SCRIPT_BYTES, MAX_UNIVERSE_BYTES, demand_within
from cosmos.model.image import Image
from cosmos.model.lock import Lock, LockedStar
from cosmos.model.names import StarName
from cosmos.model.universe import UNIVERSE_PATH, Installed, InstalledEntry, Universe
from cosmos.nova.job import NovaJob
from cosmos.nova.run import run_install
from cosmos.reading import read_bounded
from cosmos.tree.entry import Entry, normalised
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.tree.overlay import TEMPLATE, Layer, Overlaid, PathMap, overlay
from cosmos.treepath import TreePath

TRUST_PATH = TreePath(b"etc/cosmos/trust.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What the finish script changed, bytes and all, and its receipt."""

    changed: Mapping[TreePath, Entry]
    receipt: Json


def finish(
    script_file: Path, tree: Mapping[TreePath, Entry], paths: PathMap, epoch: int, bytes_of: Callable[[TreePath], bytes]
) -> Finished:
    """Run the image's finish script on the whole `tree`; raises `ScriptFailed`."""
    if not script_file.is_file():
        raise Malformed(str(script_file), "is not there, but image.toml names it as `finish`")
    script = read_bounded(script_file, MAX_SCRIPT_BYTES)
    result = run_install(
        NovaJob(
            star="finish",
            script_name=script_file.name,
            script=script,
            files={},
            beside={},
            root={},
            own=tree,
            epoch=epoch,
            path_map=paths.mapped,
            programs=None,
            free="any",
        )
    )
    changed = {path: entry for path, entry in result.entries.items() if tree.get(path) != entry}
    read = {
        path: replace(entry, content=bytes_of(path), mtime=epoch)
        for path, entry in changed.items()
        if isinstance(entry.content, Unread) and entry.kind == "file"
    }
    return Finished(changed={**changed, **read}, receipt=result.receipt.to_json())


def universe_entry(image: Image, lock: Lock, layers: Mapping[StarName, StarLayer], tree: Overlaid) -> Entry:
    """Return `/var/lib/cosmos/universe.toml`: what is installed, as far as each star still owns it.

    Its content root is that of the tree without this file, which cannot name its own digest.
    """
    installed = {star.name: _installed(star, layers[star.name].lines, tree) for star in lock.stars}
    universe = Universe(
        arch=image.arch,
        version=str(image.version),
        image=str(image.name),
        content_root=content_root(tree.lines.values()),
        installed=installed,
    )
    data = tomli_w.dumps(universe.to_toml()).encode()
    demand_within(len(data), MAX_UNIVERSE_BYTES, f"/{UNIVERSE_PATH.text}", hint="make two images of it")
    return Entry(path=UNIVERSE_PATH, kind="file", mode=0o644, mtime=image.source_date_epoch, content=data)


def trust_entry(file: Path, epoch: int) -> Entry:
    """Return the trust anchors that the image definition wants inside."""
    if not file.is_file():
        raise Malformed(str(file), "is not there, but image.toml names it as `trust`")
    return Entry(path=TRUST_PATH, kind="file", mode=0o644, mtime=epoch, content=read_bounded(file))


def relaid(
    stars: Iterable[Layer], own: Iterable[Entry], winners: Mapping[TreePath, str], moved: Iterable[TreePath]
) -> Overlaid:
    """Return the tree of `stars` under the image's `own` layer, which wins the paths in `moved`."""
    mine = Layer(owner=TEMPLATE, lines=[ManifestLine.of(entry) for entry in own])
    return overlay([*stars, mine], {**winners, **dict.fromkeys(moved, TEMPLATE)})


def own_layer(entries: Iterable[Entry], epoch: int) -> list[Entry]:
    """Return what of the image's own layer goes into its frame: no folders, in order, none newer than `epoch`."""
    return normalised((entry for entry in entries if entry.kind != "dir"), epoch)


def _installed(star: LockedStar, lines: Iterable[ManifestLine], tree: Overlaid) -> Installed:
    own = [line for line in lines if tree.owners.get(line.path) == star.name and line.kind != "dir"]
    return Installed(
        version=star.version,
        files=tuple(line.path for line in own),
        galaxy=str(star.galaxy),
        archive=star.archive,
        arch=star.arch,
        type=star.type,
        dependencies=star.dependencies,
        wanted_by=star.wanted_by,
        entries=tuple(_installed_entry(line) for line in own),
    )


def _installed_entry(line: ManifestLine) -> InstalledEntry:
    linked = Digest.of(line.target) if line.kind in ("symlink", "hardlink") else None
    return InstalledEntry(
        path=line.path,
        kind=line.kind,
        mode=line.mode,
        uid=line.uid,
        gid=line.gid,
        digest=line.digest or linked,
        rdev=line.rdev,
        xattrs=line.xattrs,
    )
