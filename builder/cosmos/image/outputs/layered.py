"""`format = "tar.zst"`: the layered image, a zstd file that any tar reads (pack.image_file).

level = 9      the zstd level of the layers (1 to 22)
"""

from __future__ import annotations

from typing import ClassVar, Self

from cosmos.image.outputs.options import read_level
from cosmos.image.outputs.packed_tree import PackedTree
from cosmos.model.image import DEFAULT_LEVEL, Image
from cosmos.pack.image_file import IMAGE_SUFFIX, image_pieces
from cosmos.records import dataclass
from cosmos.release.draft import Draft
from cosmos.tables import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class LayeredImage:
    """The image as a concatenation of its layers, with an index behind them."""

    level: int = DEFAULT_LEVEL
    holds_all: ClassVar = True

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the options in an `[[output]]` table. Raises `Malformed`."""
        return cls(level=read_level(table))

    def file_name(self, image: Image) -> str:
        """Return the name of the file in the release."""
        return image.file_name(IMAGE_SUFFIX)

    def write(self, tree: PackedTree, draft: Draft) -> None:
        """Write the file. Raises `Refused` for an image that is too large for its readers."""
        made = image_pieces(tree.layers(), {"content-root": str(tree.root)})
        draft.write(self.file_name(tree.image), made, tree.mode)
