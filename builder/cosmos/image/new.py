"""`cosmos new NAME`: a small image definition that builds, to begin from."""

from __future__ import annotations

from pathlib import Path

from cosmos.durable import write_durably
from cosmos.errors import Malformed
from cosmos.model.names import ImageName

_IMAGE = """\
# What the image is made of. See docs/formats/image.md.
name = "{name}"
version = "0.1.0"
description = "{name}, made with cosmos"
arch = "{arch}"
template = "./template"
source-date-epoch = {epoch}  # no file in the image is newer than this

[stars]  # name = "constraint"

[galaxies]  # name = "path or http:// address", in order of priority
{galaxy} = "{url}"

[vars]  # for the template
hostname = "{name}"

[[output]]
format = "tar.zst"
"""
_TEMPLATE = """\
# The tree that the stars are laid on. See docs/formats/template.md.
merged-usr = true

[variables.hostname]
type = "string"
meaning = "the machine's name"
default = "cosmos"
"""


def new_image(folder: Path, *, arch: str, galaxy: str, url: str, epoch: int) -> tuple[Path, ...]:
    """Make an image definition in `folder`, which must not be there yet, and return its files. Raises `Malformed`."""
    if folder.exists():
        raise Malformed(str(folder), "is there already", hint="choose another name")
    try:
        name = ImageName.parse(folder.name)
    except ValueError as error:
        raise Malformed(folder.name, str(error)) from error
    files = {
        folder / "image.toml": _IMAGE.format(name=name, arch=arch, galaxy=galaxy, url=url, epoch=epoch),
        folder / "template" / "template.toml": _TEMPLATE,
        folder / "template" / "root" / "etc" / "hostname.j2": "{{ hostname }}\n",
    }
    for file, text in files.items():
        write_durably(file, text.encode())
    return tuple(files)
