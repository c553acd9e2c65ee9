"""Read a release once more after it was verified: its lock, its image, and the universe in its image.

The release may lie on a stick that somebody changes meanwhile. So the lock must have the digest that RELEASE.json
names, and the image's index must give the signed content root. The reader compares each file with its line in that
index.
"""

from __future__ import annotations

from pathlib import Path

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_LOCK_BYTES, MAX_UNIVERSE_BYTES, demand_within
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader
from cosmos.reading import read_bounded
from cosmos.release.verify import ReleaseVerdict
from cosmos.tree.manifest import content_root


def lock_of(verdict: ReleaseVerdict) -> Lock:
    """Return the release's lock, from the bytes that RELEASE.json names. Raises `Refused` for others."""
    file = verdict.folder / LOCK_FILE
    data = read_bounded(file, MAX_LOCK_BYTES)
    if (LOCK_FILE, Digest.of(data)) not in {(one.name, one.digest) for one in verdict.release.subjects}:
        raise _changed_meanwhile(file)
    return Lock.parse(data, str(file))


def image_of(verdict: ReleaseVerdict) -> ImageReader:
    """Return a reader of the release's layered image.

    Raises `Malformed` if the release has none, and `Refused` if its index does not give the signed content root.
    """
    if not verdict.compared:
        problem = f"has no image NAME{IMAGE_SUFFIX}: nothing can be compared with its other outputs, or restored"
        raise Malformed(str(verdict.folder), problem, hint='build it with [[output]] format = "tar.zst"')
    file = verdict.folder / verdict.compared[0]
    reader = ImageReader.open(file)
    if content_root(reader.lines()) != verdict.content_root:
        raise _changed_meanwhile(file)
    return reader


def universe_in(reader: ImageReader) -> Universe:
    """Return the universe in an image: what each layer laid. Raises `Malformed` if the image has none."""
    where = f"{reader.source}: /{UNIVERSE_PATH.text}"
    line = next((line for line in reader.lines() if line.path == UNIVERSE_PATH and line.kind == "file"), None)
    if line is None:
        raise Malformed(where, "is not there, so nothing says what each star laid")
    demand_within(line.size, MAX_UNIVERSE_BYTES, where)
    return Universe.parse(reader.read_file(UNIVERSE_PATH), where)


def _changed_meanwhile(file: Path) -> Refused:
    return Refused(str(file), "was changed while it was read: it is not what RELEASE.json names")
