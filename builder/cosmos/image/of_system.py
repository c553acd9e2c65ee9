"""`cosmos freeze --image DIR`: an image definition that the lock of a running system fits, for a builder.

    DIR/image.toml             the lock's stars at exactly their versions, its galaxies and epoch; the system's [policy]
    DIR/universe.lock.toml     the lock, as it lies on the system
    DIR/template/              an empty tree, with the system's merged /usr

The image has the same stars with the same contents. What the system has besides is not in a lock: the files of an
earlier image's template and finish script, and what people changed.
"""

from __future__ import annotations

from pathlib import Path

from cosmos.durable import write_durably
from cosmos.errors import Malformed
from cosmos.model.image import DEFAULT_LEVEL
from cosmos.model.lock import LOCK_FILE, Lock, LockedGalaxy
from cosmos.model.powers import Powers
from cosmos.model.version import SemVer, Version
from cosmos.plain_toml import plain_text

_HEADER = """\
# The stars of a running system, at exactly their versions. Written by `cosmos freeze --image`; yours from now on.
# `cosmos freeze` resolves it again: for newer versions, write other constraints. See docs/formats/image.md.

"""
_FIRST_VERSION = SemVer(0, 1, 0)


def write_image_of(folder: Path, lock: Lock, data: bytes, *, version: str, powers: Powers, merged: bool) -> None:
    """Write an image definition for `lock`, whose bytes are `data`, into the new folder `folder`. Raises `Malformed`.

    `version` is the system's; `powers` its policy; `merged` whether its /bin and /lib are links into /usr.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Malformed(str(folder), "is there already", hint="choose another folder for --image")
    said = "true" if merged else "false"
    write_durably(folder / "template" / "template.toml", f"merged-usr = {said}\n".encode())
    (folder / "template" / "root").mkdir(exist_ok=True)
    write_durably(folder / LOCK_FILE, data)
    write_durably(folder / "image.toml", (_HEADER + plain_text(_document(lock, version, powers))).encode())


def _document(lock: Lock, version: str, powers: Powers) -> dict[str, object]:
    policy = powers.to_toml()
    return {
        "name": str(lock.request.image),
        "version": str(_version(version)),
        "description": f"the stars of a running system, {lock.request.image}",
        "arch": str(lock.request.arch),
        "template": "./template",
        "source-date-epoch": lock.build.source_date_epoch,
        "stars": {str(name): limit.text for name, limit in lock.request.stars.items()},
        "galaxies": {str(galaxy.name): _galaxy(galaxy) for galaxy in lock.galaxies},
        **({"policy": policy} if policy else {}),
        "output": [{"format": "tar.zst", **({} if lock.build.level == DEFAULT_LEVEL else {"level": lock.build.level})}],
    }


def _galaxy(galaxy: LockedGalaxy) -> object:
    return {"url": galaxy.url, "allow-unsigned": True} if galaxy.allow_unsigned else galaxy.url


def _version(text: str) -> Version:
    """Return the system's version, or the first version if an image may not have it."""
    try:
        return Version.parse(text)
    except ValueError:
        return _FIRST_VERSION
