"""`definition.tar`: everything that the operator wrote for an image, in its release, so that anybody can rebuild it.

A plain tar archive of files and links, all of root's, with the image's epoch as their time:

    image/image.toml                      the image definition, byte for byte
    image/PATH                            the files that it names: constellations, finish script, trust.toml
    image/PATH or rootfs-templates/NAME   its template: template.toml and root/

A path that climbs (`../shared/tools.toml`) climbs here as well: the archive has as many folders above `image` as that
needs, each called `up`. The lock is not in it: it lies in the release under its own name. Paths in `[galaxies]` are not
followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from cosmos.content import pieces
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.image.definition import Definition
from cosmos.image.template import TemplateFiles
from cosmos.image.template_folder import IMAGE_FILE, TEMPLATES_FOLDER
from cosmos.limits import MAX_DEFINITION_BYTES, demand_within
from cosmos.model.release import DEFINITION_FILE
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.pack.untar import read_tar
from cosmos.tree.entry import Entry, Tree, tree_of
from cosmos.treepath import TreePath

_IMAGE: Final = "image"
_UP: Final = "up"


def packed_definition(definition: Definition) -> list[bytes | memoryview]:
    """Return the archive in pieces.

    Raises `Malformed` if the definition names a file by an absolute path, `Refused` if the archive would be too large.
    """
    epoch = definition.image.source_date_epoch
    entries = [_placed(path, entry, epoch) for path, entry in sorted(_entries(definition).items())]
    made = [piece for part in (*tar_members(entries), TAR_END) for piece in pieces(part)]
    demand_within(sum(map(len, made)), MAX_DEFINITION_BYTES, DEFINITION_FILE, hint="large files belong into a star")
    return made


def definition_inputs(definition: Definition) -> dict[str, Digest]:
    """Return the digest of each file of the archive by its name in it. Raises as `packed_definition` does."""
    return {
        path: Digest.of(b"".join(pieces(entry.content)))
        for path, entry in _entries(definition).items()
        if entry.kind == "file"
    }


def _entries(definition: Definition) -> dict[str, Entry]:
    named = dict(_named_files(definition))
    template = _template_path(definition)
    climbs = max(_climb(path) for path in (*named, template or "."))
    base = PurePosixPath(*([_UP] * climbs), _IMAGE)
    above = PurePosixPath(TEMPLATES_FOLDER, definition.template.name)
    files = {str(base / IMAGE_FILE): _file(definition.data)}
    for path, data in named.items():
        files[_joined(base, path)] = _file(data)
    for path, entry in _template_entries(definition.template):
        files[str(PurePosixPath(_joined(base, template) if template else above) / path)] = entry
    return files


def unpack_definition(data: bytes, folder: Path, source: str) -> Path:
    """Write the archive's files below the new folder `folder`, and return the image's folder.

    Only the tree of a template may hold links. Everything else is opened by its name, and a link could lead anywhere.
    Raises `Refused` for an archive that is no tar or that holds what cosmos does not pack, and `Malformed` for one
    without an image definition.
    """
    tree = tree_of(read_tar(data, source))
    for path, entry in tree.items():
        if entry.kind == "symlink" and not _is_in_template(path, tree):
            raise Refused(source, f"{path.text}: is a symlink outside of a template's root/; cosmos packs no such link")
        place = folder / os.fsdecode(bytes(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "symlink":
            place.symlink_to(os.fsdecode(entry.target))
        elif entry.kind == "file":
            place.write_bytes(bytes(entry.content))
            place.chmod(entry.mode)
        elif entry.kind == "dir":
            place.mkdir(exist_ok=True)
        else:
            raise Refused(source, f"{path.text}: is a {entry.kind}; cosmos packs files, links and folders")
    found = [
        path
        for path, entry in tree.items()
        if path.name == IMAGE_FILE.encode() and path.parent.name == _IMAGE.encode() and entry.kind == "file"
    ]
    if len(found) != 1:
        raise Malformed(source, f"has no {_IMAGE}/{IMAGE_FILE}, or several")
    return folder / os.fsdecode(bytes(found[0].parent))


def _is_in_template(path: TreePath, tree: Tree) -> bool:
    """Return whether `path` lies in the root/ of a template: in a folder beside a template.toml."""
    roots = [above for above in path.parents if above.name == b"root"]
    return any(TreePath.parse(bytes(root)[: -len(b"root")] + b"template.toml") in tree for root in roots)


def _named_files(definition: Definition) -> Iterator[tuple[str, bytes]]:
    image = definition.image
    yield from definition.constellation_files.items()
    if definition.finish is not None:
        yield image.finish, definition.finish
    if definition.trust is not None:
        yield image.trust, definition.trust


def _template_path(definition: Definition) -> str:
    """Return the template's path from the image's folder, or nothing if it lies in rootfs-templates/."""
    named = definition.image.template
    return named if named.startswith(("./", "../")) else ""


def _template_entries(template: TemplateFiles) -> Iterator[tuple[str, Entry]]:
    yield "template.toml", _file(template.declarations)
    for path, entry in template.files.items():
        yield f"root/{os.fsdecode(bytes(path))}", entry


def _file(data: bytes) -> Entry:
    return Entry(path=TreePath(b"x"), kind="file", mode=0o644, content=data)


def _placed(path: str, entry: Entry, epoch: int) -> Entry:
    return Entry(
        path=TreePath.parse(os.fsencode(path)),
        kind=entry.kind,
        mode=entry.mode,
        mtime=epoch,
        content=entry.content,
        target=entry.target,
    )


def _climb(path: str) -> int:
    """Return how many folders `path` climbs above where it starts; raises `Malformed` for an absolute one."""
    if path.startswith("/"):
        raise Malformed(IMAGE_FILE, f"names {path}, an absolute path: nobody else can build this image")
    depth = deepest = 0
    for part in PurePosixPath(path).parts:
        depth += -1 if part == ".." else 1
        deepest = min(deepest, depth)
    return -deepest


def _joined(base: PurePosixPath, path: str) -> str:
    parts = list(base.parts)
    for part in PurePosixPath(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return str(PurePosixPath(*parts))
