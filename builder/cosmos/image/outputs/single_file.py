"""`format = "file"`: one file of the tree, beside the image. Example: the kernel.

path = "boot/vmlinuz-*"      a path or a glob that one file matches
as = "vmlinuz"               its name in the release
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

from cosmos.content import pieces
from cosmos.errors import Malformed
from cosmos.globs import checked, matches_any
from cosmos.image.outputs.packed_tree import PackedTree
from cosmos.model.image import Image
from cosmos.records import dataclass
from cosmos.release.draft import Draft
from cosmos.tables import Table

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleFile:
    """One file of the tree under its own name in the release."""

    path: str
    name: str
    level: ClassVar = None
    holds_all: ClassVar = False

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the options in an `[[output]]` table. Raises `Malformed`."""
        return cls(path=table.read("path", checked), name=table.read("as", _file_name))

    def file_name(self, image: Image) -> str:  # noqa: ARG002 every format has it
        """Return the name of the file in the release."""
        return self.name

    def write(self, tree: PackedTree, draft: Draft) -> None:
        """Write the file. Raises `Malformed` unless exactly one file matches."""
        wanted = self.path.lstrip("/")
        found = [
            path
            for path, line in tree.overlaid.lines.items()
            if line.kind in ("file", "hardlink") and matches_any(path, [wanted])
        ]
        if len(found) != 1:
            listed = ", ".join(f"/{path.text}" for path in found[:4])
            raise Malformed("image.toml", f"output {self.name}: want one file, {self.path} matches {listed or 'none'}")
        if found[0] in tree.secret_files:
            raise Malformed(
                "image.toml",
                f"output {self.name}: /{found[0].text} holds a secret, and a file beside the image is for others",
                hint="take this [[output]] out",
            )
        draft.write(self.name, pieces(tree.content_of(found[0])))


def _file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text):
        raise ValueError(f"want a plain file name, got {text[:80]!r}")
    return text
