"""The layers of the image that made a system, made again from the system's files: for a delta, if the image is gone.

`universe.toml` says what each star put on the disk: every path with its kind, mode, owner, time and digest. So only the
bytes of regular files are read from the disk, each checked by its digest; all else is as it was recorded. The layer is
packed again, and must have the digest that the delta names. Files that were changed, and files that the record does not
know well enough, are named together with their stars; nothing is made of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, get_args

from cosmos.content import Content, content_digest
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import read_universe
from cosmos.digest import Digest
from cosmos.errors import Differs, Malformed, WorldFailed, quoted
from cosmos.limits import MAX_STAR_UNPACKED_BYTES
from cosmos.model.delta import DeltaHead, KeptLayers
from cosmos.model.installed_entry import LINKS, InstalledEntry
from cosmos.pack.layer import PackedLayer, layer_bytes, pack_layer
from cosmos.reading import read_pieces
from cosmos.spool import Spool
from cosmos.tree.entry import Entry, Kind

_MAX_NAMED: Final = 200  # changed files that are named in one error


class InstalledLayers:
    """The layers of the image that a delta is for, from the system at `root`. `folder` is where large files wait."""

    def __init__(self, root: LiveRoot, head: DeltaHead, source: str, folder: Path) -> None:
        """Raises `Malformed` if the delta is for images only, and `Differs` that names each changed file."""
        if head.installed is None:
            raise Malformed(source, "is for the old image alone", hint="its maker adds: cosmos delta --installed")
        self._root = root
        self._layers = head.installed
        self._level = head.level
        self._folder = folder
        self._spool = Spool(folder)
        universe = read_universe(root)
        self._names = {f"{name}-{star.version}": str(name) for name, star in universe.installed.items()}
        self._stars = {f"{name}-{star.version}": star.entries for name, star in universe.installed.items()}
        self._demand_whole(head)

    def layer(self, place: int) -> PackedLayer:
        """Return a layer of the image. Raises `Differs` if it is not the one of the image."""
        name, digest = self._named(place)
        layer = pack_layer(name, [*self._entries(name)], self._level, self._spool)
        if layer.digest != digest:
            raise Differs(
                name, f"its files make the layer {layer.digest}, but the image had {digest}", hint=self._hint([name])
            )
        return layer

    def content(self, place: int) -> bytes:
        """Return the content of a layer. Raises `Differs`."""
        name, _ = self._named(place)
        return layer_bytes([*self._entries(name)])

    def joined(self, names: Iterable[str]) -> bytes:
        """Return nothing: a system does not have the files of its release. Raises `Differs` if one is wanted."""
        wanted = [*names]
        if wanted:
            raise Differs(wanted[0], "is not on this system, and the delta refers to it")
        return b""

    def _named(self, place: int) -> tuple[str, Digest]:
        if place >= len(self._layers):
            raise Differs(str(self._root.path), f"the delta refers to layer {place} of {len(self._layers)}")
        return self._layers[place]

    def _demand_whole(self, head: DeltaHead) -> None:
        """Raise `Differs` unless every file is unchanged of which the delta needs the bytes."""
        found: list[str] = []
        stars: list[str] = []
        for place in _needed(head):
            name, _ = self._named(place)
            problems = [*self._problems(name)]
            found += problems
            stars += [name] if problems else []
        if found:
            more = [f"and {len(found) - _MAX_NAMED} more"] if len(found) > _MAX_NAMED else []
            raise Differs(
                str(self._root.path),
                f"is not as the image made it, and the delta needs what is missing: {found[0]}",
                differences=(*found[:_MAX_NAMED], *more),
                hint=self._hint(stars),
            )

    def _problems(self, name: str) -> Iterator[str]:
        """Yield what of a layer cannot be made again."""
        if name not in self._stars:
            yield f"{name}: is not installed"
            return
        for entry in self._stars[name]:
            problem = self._problem(entry)
            if problem:
                yield f"{shown(entry.path)} ({name}): {problem}"

    def _problem(self, entry: InstalledEntry) -> str:
        """Return why an entry cannot be made again; an empty text if it can."""
        if entry.kind == "dir":
            return ""
        if entry.mtime is None or (entry.kind in LINKS and entry.target is None):
            return "was not recorded in full when it was installed"
        if entry.kind != "file":
            return ""
        try:
            with self._root.file(entry.path) as descriptor, open(descriptor, "rb", closefd=False) as stream:
                held_bytes = os.fstat(descriptor).st_size
                most_bytes = MAX_STAR_UNPACKED_BYTES if entry.size_bytes is None else entry.size_bytes
                if held_bytes > most_bytes:  # it need not be read to its end
                    at_most = " at most" if entry.size_bytes is None else ""
                    return f"has {held_bytes} bytes, but was installed with {most_bytes}{at_most}"
                digest = Digest.of_stream(stream)
        except (OSError, WorldFailed) as error:
            reason = error.problem if isinstance(error, WorldFailed) else error.strerror or "it failed"
            return f"cannot be read: {reason.lower()}"
        return "" if digest == entry.digest else f"is {digest}, but was installed as {entry.digest or 'none'}"

    def _entries(self, name: str) -> Iterator[Entry]:
        """Yield the entries of a layer: as they were recorded, with the bytes of the files. Raises `Differs`."""
        spool = Spool(self._folder)
        for entry in self._stars.get(name, ()):
            if entry.kind != "dir":
                yield Entry(
                    path=entry.path,
                    kind=_kind(entry.kind),
                    mode=entry.mode,
                    uid=entry.uid,
                    gid=entry.gid,
                    mtime=entry.mtime or 0,
                    content=self._bytes(entry, spool) if entry.kind == "file" else b"",
                    target=entry.target or b"",
                    rdev=entry.rdev,
                    xattrs=entry.xattrs,
                )

    def _bytes(self, entry: InstalledEntry, spool: Spool) -> Content:
        """Return a file's bytes. Raises `Differs` if they changed since they were compared."""
        try:
            with self._root.file(entry.path) as descriptor:
                content = spool.add(read_pieces(descriptor, (entry.size_bytes or MAX_STAR_UNPACKED_BYTES) + 1))
        except OSError as error:
            raise Differs(shown(entry.path), f"cannot be read: {error.strerror or 'it failed'}".lower()) from error
        if content_digest(content) != entry.digest:
            raise Differs(shown(entry.path), "was changed meanwhile", hint="run the same command again")
        return content

    def _hint(self, layers: Iterable[str]) -> str:
        stars = " ".join(f"--whole {quoted(self._names.get(name, name))}" for name in layers)
        return f"use the old image (--from OLD); or the delta's maker carries them whole: delta --installed {stars}"


def _needed(head: DeltaHead) -> list[int]:
    """Return the places of the layers of the old image that the delta needs."""
    found: set[int] = set()
    for layer in head.layers:
        if isinstance(layer, KeptLayers):
            found |= {*range(layer.first, layer.first + layer.count)}
        elif layer.reference is not None:
            found.add(layer.reference)
    return sorted(found)


def _kind(text: str) -> Kind:
    return next(kind for kind in get_args(Kind) if kind == text)
