"""Name what made a path: the star, its script, and what the script did there, from the receipts of the release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cosmos.canon import Json, canonical_json
from cosmos.limits import MAX_RECEIPTS_BYTES
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.reading import read_bounded
from cosmos.release.diff.compare import Difference

_OWN_LAYER = "template"


def receipts_of(release: Path) -> Mapping[str, Json]:
    """Return the receipt of each star's script by the star's name, and "finish". Raises `Malformed`."""
    file = release / RECEIPTS_FILE
    receipts = Receipts.parse(read_bounded(file, MAX_RECEIPTS_BYTES), str(file))
    return {**receipts.stars, "finish": receipts.finish}


def made_by(difference: Difference, receipts: Mapping[str, Json]) -> str:
    """Return a sentence part: who made the path that differs.

    The last event that names the path made it. If none does, a program of the script made it.
    """
    star = difference.star or _OWN_LAYER
    receipt = receipts.get("finish" if star == _OWN_LAYER else star)
    events = list(_events(receipt))
    named = [event for event in events if event.get("path") == difference.path.text and event.get("do") != "read"]
    programs = [event for event in events if event.get("do") == "run"]
    made = named[-1:] or programs[-1:]
    script = receipt.get("script") if isinstance(receipt, dict) else None
    who = "the image's own files" if star == _OWN_LAYER else star
    if not made:
        return f"{who}, unpacked" if star != _OWN_LAYER else who
    event = made[0]
    what = f"run {canonical_json(event.get('words')).decode()}" if event.get("do") == "run" else str(event.get("do"))
    return f"{who}, {script or 'its script'}: {what}"


def _events(receipt: Json) -> Iterator[Mapping[str, Json]]:
    events = receipt.get("events") if isinstance(receipt, dict) else None
    yield from (event for event in events if isinstance(event, dict)) if isinstance(events, list) else ()
