"""`format = "cpio.zst"`: an initramfs, the tree as one zstd frame of a newc archive (pack.cpio).

    level = 9                    the zstd level (1 to 22)
    exclude = ["boot/**"]        globs of the paths that are left out

A kernel reads only one frame, and the machine that boots it needs memory for the whole tree.
The store keeps the result, because compression takes most of the time of a build
in which nothing has changed. It keeps none that is too large for it (`MAX_STORED_BYTES`), and none with a secret
variable in it: others may read the store, and its keys are digests of what is kept.
"""

from __future__ import annotations

from typing import ClassVar, Self

from cosmos.canon import Json, digest_of
from cosmos.content import Content, pieces
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.globs import checked, matches_any
from cosmos.image.outputs.options import read_level
from cosmos.image.outputs.packed_tree import PackedTree
from cosmos.limits import MAX_STORED_BYTES
from cosmos.model.image import DEFAULT_LEVEL, Image
from cosmos.pack.cpio import cpio_pieces, xattr_losses
from cosmos.pack.image_file import LAYER_FORMAT
from cosmos.pack.zst import ZSTD_VERSION, compressed
from cosmos.plain_toml import basic_string
from cosmos.records import dataclass
from cosmos.release.draft import Draft
from cosmos.store.interface import Damaged
from cosmos.store.sealed import NotSealed
from cosmos.tables import Table

_CODEC: dict[str, Json] = {"format": LAYER_FORMAT, "zstd": ZSTD_VERSION}


@dataclass(frozen=True, kw_only=True, slots=True)
class Initramfs:
    """What a kernel unpacks into its first root file system."""

    level: int = DEFAULT_LEVEL
    exclude: tuple[str, ...] = ()
    holds_all: ClassVar = False

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the options in an `[[output]]` table. Raises `Malformed`."""
        return cls(level=read_level(table), exclude=table.parsed_strings("exclude", checked))

    def file_name(self, image: Image) -> str:
        """Return the name of the file in the release."""
        return image.file_name(".cpio.zst")

    def write(self, tree: PackedTree, draft: Draft) -> None:
        """Write the file. Raises `NoSolution` for an entry that a cpio archive cannot hold."""
        if tree.secret_files:
            draft.write(self.file_name(tree.image), pieces(self._packed(tree)), tree.mode)
            return
        frames: list[Json] = [str(layer.digest) for layer in tree.layers()]
        key = digest_of({"what": "cpio", "frames": frames, "exclude": [*self.exclude], "level": self.level, **_CODEC})
        data = self._kept(tree, key)
        if data is None:
            data = self._packed(tree)
            if len(data) <= MAX_STORED_BYTES:
                tree.store.put_made(key, data)
        draft.write(self.file_name(tree.image), pieces(data))

    def _kept(self, tree: PackedTree, key: Digest) -> Content | None:
        """Return the file that the store has; one that this home did not write is made again."""
        try:
            return tree.store.get_made(key)
        except (NotSealed, Damaged) as forged:
            tree.warn(f"{self.file_name(tree.image)}: {forged}; it is not believed, and the file is made again")
            return None

    def _packed(self, tree: PackedTree) -> Content:
        kept = [entry for entry in tree.entries() if not matches_any(entry.path, self.exclude)]
        lost = xattr_losses(kept)
        if lost:
            raise NoSolution(
                f"/{lost[0].path.text}",
                "has extended attributes, which an initramfs (cpio) cannot hold",
                hint='leave it out: in image.toml, below [[output]] format = "cpio.zst": '
                f"exclude = [{basic_string(lost[0].path.text)}]",
            )
        spool = tree.store.spool()
        return compressed(spool.add(piece for part in cpio_pieces(kept) for piece in pieces(part)), self.level, spool)
