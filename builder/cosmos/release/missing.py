"""The error for a folder that has no release: the likeliest mistake is to name the image's folder."""

from __future__ import annotations

from pathlib import Path

from cosmos.errors import Malformed, quoted
from cosmos.model.release import RELEASE_FILE
from cosmos.reading import is_there


def no_release(folder: Path) -> Malformed:
    """Return the error for `folder`, with the release inside it as the way out if it is an image's folder."""
    hint = "name the folder that `cosmos build` made, such as images/NAME/out"
    if is_there(folder / "out" / RELEASE_FILE):
        hint = f"this is the folder of an image; name its release: {quoted(folder / 'out')}"
    return Malformed(str(folder / RELEASE_FILE), "is not there", hint=hint)
