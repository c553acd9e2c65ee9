"""Read a bill of materials out of a release, checked against RELEASE.json."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_FILE, Release
from cosmos.reading import read_bounded
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.sbom.spdx import SPDX_FILE
from cosmos.tables import Table

_FILES: Final = {"spdx": SPDX_FILE, "cyclonedx": CYCLONEDX_FILE}


def release_folder(place: Path) -> Path | None:
    """Return the folder of the release at `place` or in its `out/`; None for a folder without a release."""
    return next((one for one in (place, place / "out") if (one / RELEASE_FILE).is_file()), None)


def release_bill(place: Path, form: str) -> bytes | None:
    """Return the bill of the release at `place` or in its `out/`, in the form `spdx` or `cyclonedx`.

    Return None if `place` is no release. Raises `Malformed` if the release has no bill, or one that is
    not JSON, `Refused` if it is another one.
    """
    folder = release_folder(place)
    if folder is None:
        return None
    release = Release.parse(read_bounded(folder / RELEASE_FILE, MAX_RELEASE_BYTES), str(folder / RELEASE_FILE))
    file = folder / _FILES[form]
    stated = {subject.name: subject.digest for subject in release.subjects}.get(file.name)
    if stated is None or not file.is_file():
        raise Malformed(str(file), "is not there", hint="build the image again with this cosmos")
    data = read_bounded(file, MAX_RELEASE_BYTES)
    if Digest.of(data) != stated:
        raise Refused(str(file), f"is {Digest.of(data)}, but {RELEASE_FILE} names {stated}")
    Table.from_json(data, str(file), max_bytes=MAX_RELEASE_BYTES)
    return data
