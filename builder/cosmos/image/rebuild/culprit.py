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
_A_PROGRAM = ""  # no path is empty


def receipts_of(release: Path) -> Mapping[str, Json]:
    """Return the receipt of each star's script by the star's name, and "finish". Raises `Malformed`."""
    file = release / RECEIPTS_FILE
    receipts = Receipts.parse(read_bounded(file, MAX_RECEIPTS_BYTES), str(file))
    return {**receipts.stars, "finish": receipts.finish}


class Makers:
    """Who made each path. The events of a script are looked through once, however many paths differ."""

    def __init__(self, receipts: Mapping[str, Json]) -> None:
        self._receipts = receipts
        self._last: dict[str, Mapping[str, Mapping[str, Json]]] = {}

    def of(self, difference: Difference) -> str:
        """Return a sentence part: who made the path that differs.

        The last event that names the path made it. If none does, a program of the script made it.
        """
        star = difference.star or _OWN_LAYER
        receipt = self._receipts.get("finish" if star == _OWN_LAYER else star)
        if star not in self._last:
            self._last[star] = _last_events(receipt)
        last = self._last[star]
        script = receipt.get("script") if isinstance(receipt, dict) else None
        return _sentence(star, script, last.get(difference.path.text) or last.get(_A_PROGRAM))


def _sentence(star: str, script: Json, event: Mapping[str, Json] | None) -> str:
    who = "the image's own files" if star == _OWN_LAYER else star
    if event is None:
        return f"{who}, unpacked" if star != _OWN_LAYER else who
    what = f"run {canonical_json(event.get('words')).decode()}" if event.get("do") == "run" else str(event.get("do"))
    return f"{who}, {script or 'its script'}: {what}"


def _last_events(receipt: Json) -> Mapping[str, Mapping[str, Json]]:
    """Return the last event that wrote each path, and under `_A_PROGRAM` the last that ran a program."""
    last: dict[str, Mapping[str, Json]] = {}
    for event in _events(receipt):
        path = event.get("path")
        if event.get("do") == "run":
            last[_A_PROGRAM] = event
        elif isinstance(path, str) and event.get("do") != "read":
            last[path] = event
    return last


def _events(receipt: Json) -> Iterator[Mapping[str, Json]]:
    events = receipt.get("events") if isinstance(receipt, dict) else None
    yield from (event for event in events if isinstance(event, dict)) if isinstance(events, list) else ()
