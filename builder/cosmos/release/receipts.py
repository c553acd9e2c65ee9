"""Read the receipts of a release, which say what each script did: `cosmos show STAR --receipt --release OUT`."""

from __future__ import annotations

from pathlib import Path

from cosmos.canon import Json
from cosmos.errors import NoSolution
from cosmos.limits import MAX_RECEIPTS_BYTES
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.reading import is_there, read_up_to


def read_receipt(release: Path, name: str) -> Json:
    """Return the receipt of one star (or of "finish") in the release folder, or in its `out/`.

    Raises `NoSolution` if there is no such release or star, or `Malformed`.
    """
    tries = [folder / RECEIPTS_FILE for folder in (release, release / "out")]
    file = next((file for file in tries if is_there(file)), None)
    if file is None:
        raise NoSolution(str(release), "has no receipts", hint="name a release: --release images/NAME/out")
    receipts = Receipts.parse(read_up_to(file, MAX_RECEIPTS_BYTES), str(file))
    if name == "finish":
        return receipts.finish
    if name not in receipts.stars:
        known = ", ".join(sorted(receipts.stars))
        raise NoSolution(name, f"is not a star of {file.parent}", hint=f"there are: {known}")
    return receipts.stars[name]
