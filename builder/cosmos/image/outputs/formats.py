"""The table of output formats. To add a format, write a module beside this one and add a row to `FORMATS`.

A format is a frozen dataclass of its own options, with

    level                the zstd level of the image's layers, or None for a format that packs no layers
    holds_all            whether its file holds the whole tree, so that RELEASE.json states the content root for it.
                         `release.verify` must then be able to compare the file with the manifest
    read(table)          returns the options in an `[[output]]` table
    file_name(image)     returns the name of its file in the release
    write(tree, draft)   writes that file
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from cosmos.errors import Faults, Malformed
from cosmos.image.outputs.initramfs import Initramfs
from cosmos.image.outputs.layered import LayeredImage
from cosmos.image.outputs.single_file import SingleFile
from cosmos.model.image import DEFAULT_LEVEL, Image
from cosmos.tables import Table

Output: TypeAlias = LayeredImage | Initramfs | SingleFile
FORMATS: Final[Mapping[str, type[Output]]] = {"tar.zst": LayeredImage, "cpio.zst": Initramfs, "file": SingleFile}


def read_outputs(rows: Sequence[Mapping[str, object]], source: str) -> tuple[Output, ...]:
    """Return the outputs that the `[[output]]` tables of an image definition ask for.

    Without a table, the output is a layered image. Raises `Malformed`, which carries
    the first fault of every other table.
    """
    faults, found = Faults(), list[Output]()
    for place, row in enumerate(rows):
        with faults.noting():
            found.append(read_output(Table(row, source, f"output[{place}]")))
    faults.demand_none()
    return tuple(found) or (LayeredImage(),)


def demand_own_names(outputs: Iterable[Output], image: Image, taken: Iterable[str]) -> None:
    """Raise `Malformed` if two outputs, or an output and one of the files `taken`, have the same name."""
    names = set(taken)
    for output in outputs:
        name = output.file_name(image)
        if name in names:
            raise Malformed("image.toml", f"output: {name} is made twice", hint="give each [[output]] its own name")
        names.add(name)


def level_of(outputs: Sequence[Output]) -> int:
    """Return the zstd level of an image's layers: that of its layered image, else of its first packed output."""
    layered = [output.level for output in outputs if isinstance(output, LayeredImage)]
    packed = [output.level for output in outputs if output.level is not None]
    return next(iter((*layered, *packed)), DEFAULT_LEVEL)


def read_output(table: Table) -> Output:
    """Return one output of an image definition; raises `Malformed`."""
    output = FORMATS[table.choice("format", tuple(FORMATS))].read(table)
    table.end()
    return output
