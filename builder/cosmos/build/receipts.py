"""`receipts.json` of a release: what the script of each star read and did, for whoever wants to know afterwards.

Canonical JSON (see canon), a subject of RELEASE.json:

    {"finish": RECEIPT or null, "receipts-version": 1, "stars": {NAME: RECEIPT or null, …}}

A receipt is specified in cosmos.nova.receipt; null stands for a star without a script: its files are laid as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cosmos.build.layers import StarLayer
from cosmos.canon import Json, canonical_json
from cosmos.errors import Malformed, NoSolution
from cosmos.limits import MAX_RECEIPTS_BYTES, demand_within
from cosmos.model.names import StarName
from cosmos.reading import read_up_to
from cosmos.tables import Table

RECEIPTS_FILE: Final = "receipts.json"
_VERSION: Final = 1


def receipts(layers: Mapping[StarName, StarLayer], finish: Json) -> bytes:
    """Return the document; raises `Refused` for one that no reader would take."""
    stars: dict[str, Json] = {str(name): layer.receipt for name, layer in layers.items()}
    data = canonical_json({"receipts-version": _VERSION, "stars": stars, "finish": finish})
    demand_within(len(data), MAX_RECEIPTS_BYTES, RECEIPTS_FILE, hint="let scripts do less: a receipt names each path")
    return data


def read_receipt(release: Path, name: str) -> Json:
    """Return the receipt of one star (or of "finish") in the release folder, or in its `out/`.

    Raises `NoSolution` where there is no such release or star, `Malformed`.
    """
    tries = [folder / RECEIPTS_FILE for folder in (release, release / "out")]
    file = next((file for file in tries if file.is_file()), None)
    if file is None:
        raise NoSolution(str(release), "holds no receipts", hint="name a release: --release images/NAME/out")
    table = Table.from_json(read_up_to(file, MAX_RECEIPTS_BYTES), str(file), max_bytes=MAX_RECEIPTS_BYTES)
    if table.need("receipts-version", int) != _VERSION:
        raise Malformed(str(file), f"receipts-version: want {_VERSION}")
    stars = table.need("stars", dict)
    if name == "finish":
        return _json(table.value("finish"), file)
    if name not in stars:
        raise NoSolution(name, f"is not a star of {file.parent}", hint=f"there are: {', '.join(sorted(stars))}")
    return _json(stars[name], file)


def _json(value: object, file: Path) -> Json:
    if value is None or isinstance(value, dict):
        return value
    raise Malformed(str(file), "a receipt is a table, or null")
