"""A star's archive, `NAME-VERSION.tar.zst` (written and read) or `NAME-VERSION.tar.gz` (read: upstream's form).

    star.toml        the manifest; upstream's archives may lack it
    install.lua      the Nova script, under the name that the manifest gives it; a star need not have one
    files/…          the files that the star ships: usr/bin/nano lies at files/usr/bin/nano
    …                upstream's archives may have files here as well; a script finds them below files/ first, then here

The writer writes those members in that order, `files/` in byte order of path with each hard link after its file, times
and owners as given, in one zstd frame. The same star, script, files and level give the same bytes. The writer reads the
archive back before it returns it, so that a maintainer learns at once what an installer would refuse. It refuses a star
that no image can hold: one layer has at most 4 GiB.

The reader uses cosmos.pack.untar, with three more rules: a hard link must not cross `files/`, a symlink below `files/`
must not climb above it, and the archive must not unpack to more than its size allows (`limits.unpack_limit`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

import tomli_w

from cosmos.content import Content, FileRange, pieces
from cosmos.errors import Malformed, Refused
from cosmos.limits import (
    MAX_DOCUMENT_BYTES,
    MAX_FRAME_BYTES,
    MAX_SCRIPT_BYTES,
    MAX_STAR_ARCHIVE_BYTES,
    MAX_STAR_UNPACKED_BYTES,
    Budget,
    demand_within,
    unpack_limit,
)
from cosmos.model.star import Star
from cosmos.pack.layer import members_in_order
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.pack.treenames import shown
from cosmos.pack.untar import read_tar
from cosmos.pack.zst import Suffix, compressed, decompress_exactly, unpacked_exactly, unpacked_within
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, climbs_out

MANIFEST = TreePath(b"star.toml")
FILES = TreePath(b"files")
_BELOW = b"files/"
_SUFFIXES: Final[dict[str, Suffix]] = {".tar.zst": ".zst", ".tar.gz": ".gz", ".tgz": ".gz"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedStar:
    """A star's archive as written, its unpacked size, and the entries below files/ as it holds them."""

    data: Content
    unpacked_bytes: int
    files: Mapping[TreePath, Entry]


@dataclass(frozen=True, kw_only=True, slots=True)
class StarContents:
    """The contents of an archive. File contents are slices of the decompressed archive.

    `manifest` is `b""`, and `script` is None, if the archive has none. `files` are the entries below `files/`, without
    that prefix; `beside` are all other entries, manifest and script included. A script may copy files of `copied_bytes`
    together: what the archive's size allows it to unpack to.
    """

    manifest: bytes
    script: bytes | None
    files: Mapping[TreePath, Entry]
    beside: Mapping[TreePath, Entry]
    copied_bytes: int = MAX_STAR_UNPACKED_BYTES


def write_star(
    manifest: Star, script: bytes | None, files: Iterable[Entry], *, level: int, spool: Spool | None = None
) -> PackedStar:
    """Return the archive of a star whose `files` have paths relative to the system's root.

    Raises `Malformed` if script and manifest do not fit together, `Refused` if an installer would refuse the
    archive, or no image could hold its files.
    """
    spool = spool or Spool()
    tar, contents = star_tar(manifest, script, files, spool)
    packed = compressed(tar, level, spool)
    demand_within(len(packed), MAX_STAR_ARCHIVE_BYTES, manifest.id, hint="split the star")
    _demand_in_proportion(len(packed), len(tar), manifest.id)
    return PackedStar(data=packed, unpacked_bytes=len(tar), files=contents.files)


def star_tar(
    manifest: Star, script: bytes | None, files: Iterable[Entry], spool: Spool
) -> tuple[Content, StarContents]:
    """Return the tar archive that `write_star` compresses, and what is read back from it; raises as `write_star`."""
    members = [*_own_members(manifest, script), *_below_files(files)]
    demand_within(sum(entry.size for entry in members), MAX_FRAME_BYTES, manifest.id, hint="split the star")
    tar = spool.add(piece for part in chain(tar_members(members), (TAR_END,)) for piece in pieces(part))
    demand_within(len(tar), MAX_FRAME_BYTES, manifest.id, hint="split the star")
    contents = star_contents(tar, manifest.id, manifest.install_script)
    if contents.script != script:
        raise Malformed(manifest.id, f"install_script: want a name beside files/, got {manifest.install_script!r}")
    return tar, contents


def read_star(
    data: Content,
    file_name: str,
    unpacked_bytes: int,
    *,
    script_name: str = "install.lua",
    spool: Spool | None = None,
) -> StarContents:
    """Return the contents of the archive `data`, which must decompress to exactly `unpacked_bytes`.

    The suffix of `file_name` names its compression; an empty `script_name` means that there is no script. Contents that
    do not fit into memory lie in `spool`. Raises `Refused`, which names `file_name` and the entry.
    """
    spool, suffix = spool or Spool(), _suffix(file_name)
    _demand_in_proportion(len(data), unpacked_bytes, file_name)
    if suffix == ".zst" and not isinstance(data, FileRange) and spool.fits(unpacked_bytes):
        tar: Content = decompress_exactly(data, unpacked_bytes, file_name)
    else:
        tar = spool.add(unpacked_exactly(data, suffix, unpacked_bytes, file_name))
    return replace(star_contents(tar, file_name, script_name), copied_bytes=unpack_limit(len(data)))


def _demand_in_proportion(packed_bytes: int, unpacked_bytes: int, source: str) -> None:
    """Raise `Refused` for an archive that unpacks to more than its size on disk allows."""
    if unpacked_bytes > unpack_limit(packed_bytes):
        raise Refused(
            source,
            f"has {packed_bytes} bytes and unpacks to {unpacked_bytes}, the limit for its size is "
            f"{unpack_limit(packed_bytes)}",
            hint="let a Nova script or the running system make a large file of zeros",
        )


def unpacked_star(data: Content, file_name: str, spool: Spool) -> Content:
    """Return the tar archive in `data`, whose unpacked size is not known; raises `Refused` as `read_star` does."""
    return spool.add(unpacked_within(data, _suffix(file_name), Budget.of(len(data)), file_name))


def _suffix(file_name: str) -> Suffix:
    for ending, suffix in _SUFFIXES.items():
        if file_name.endswith(ending):
            return suffix
    raise Refused(file_name, "want a name that ends in .tar.zst or .tar.gz")


def star_contents(tar: Content, source: str, script_name: str) -> StarContents:
    """Return the contents of a star's tar archive; raises `Refused` as `read_star` does."""
    files: dict[TreePath, Entry] = {}
    beside: dict[TreePath, Entry] = {}
    for entry in read_tar(tar, source):
        if entry.path.startswith(_BELOW):
            moved = _moved(entry, source)
            files[moved.path] = moved
        elif entry.path != FILES:
            beside[entry.path] = entry
        elif entry.kind != "dir":
            raise Refused(source, f"files: want a folder, got a {entry.kind}")
        if entry.kind == "hardlink" and entry.path.startswith(_BELOW) != entry.target.startswith(_BELOW):
            raise Refused(source, f"{shown(entry.path)}: is a hard link across files/, to {shown(entry.target)}")
    return StarContents(
        manifest=_document(beside, MANIFEST, MAX_DOCUMENT_BYTES, source) or b"",
        script=_document(beside, _script_path(script_name, source), MAX_SCRIPT_BYTES, source) if script_name else None,
        files=files,
        beside=beside,
    )


def _moved(entry: Entry, source: str) -> Entry:
    """Return an entry below files/ with its path on the system."""
    path = TreePath(entry.path.removeprefix(_BELOW))
    if entry.kind == "symlink" and climbs_out(path, entry.target):
        raise Refused(source, f"{shown(entry.path)}: its target climbs above files/: {shown(entry.target)}")
    if entry.kind == "hardlink":
        return replace(entry, path=path, target=entry.target.removeprefix(_BELOW))
    return entry.at(path)


def _document(beside: Mapping[TreePath, Entry], path: TreePath, most: int, source: str) -> bytes | None:
    entry = beside.get(path)
    if entry is None:
        return None
    if entry.kind != "file" or entry.size > most:
        raise Refused(source, f"{path.text}: want a file of at most {most} bytes, got a {entry.kind} of {entry.size}")
    return bytes(entry.content)


def _script_path(name: str, source: str) -> TreePath:
    try:
        return TreePath.rooted(name)
    except ValueError as error:
        raise Refused(source, f"its script's name: {error}") from error


def _own_members(manifest: Star, script: bytes | None) -> Iterator[Entry]:
    if (script is None) != (not manifest.install_script):
        found = "the script is missing" if script is None else "there is a script"
        raise Malformed(manifest.id, f"its manifest names install_script {manifest.install_script!r}, but {found}")
    text = tomli_w.dumps(manifest.to_toml()).encode()
    yield Entry(path=MANIFEST, kind="file", mode=0o644, content=text)
    if script is not None:
        try:
            path = TreePath.parse(manifest.install_script)
        except ValueError as error:
            raise Malformed(manifest.id, f"install_script: {error}") from error
        yield Entry(path=path, kind="file", mode=0o644, content=script)


def _below_files(files: Iterable[Entry]) -> Iterator[Entry]:
    ordered = members_in_order(files)
    if ordered:
        yield Entry(path=FILES, kind="dir", mode=0o755)
    for entry in ordered:
        path = TreePath(_BELOW + entry.path)
        if entry.kind == "hardlink":
            yield replace(entry, path=path, target=_BELOW + entry.target)
        else:
            yield entry.at(path)
