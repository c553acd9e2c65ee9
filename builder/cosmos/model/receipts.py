"""`receipts.json` of a release: what the script of each star read and did.

Canonical JSON (see canon), a subject of RELEASE.json:

    {"finish": RECEIPT or null, "receipts-version": 1, "stars": {NAME: RECEIPT or null, …}}

A receipt is specified in cosmos.nova.receipt. A star without a script has null: its files are copied unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Self

from cosmos.canon import Json, canonical_json
from cosmos.limits import MAX_RECEIPTS_BYTES, demand_within
from cosmos.records import dataclass
from cosmos.tables import Table

RECEIPTS_FILE: Final = "receipts.json"
_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipts:
    """The receipt of each star's script by the star's name, and of the finish script; None means no script."""

    stars: Mapping[str, Json]
    finish: Json

    @property
    def ran_programs(self) -> bool:
        """Whether any of the scripts ran a program."""
        return any(event.get("do") == "run" for event in self._events())

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The stars whose programs may give another result each time, by the operator's waiver."""
        return tuple(sorted(name for name, one in self.stars.items() if isinstance(one, dict) and one.get("unsteady")))

    def to_bytes(self) -> bytes:
        """Return the document; raises `Refused` if it is larger than its readers accept."""
        data = canonical_json({"receipts-version": _VERSION, "stars": dict(self.stars), "finish": self.finish})
        demand_within(
            len(data), MAX_RECEIPTS_BYTES, RECEIPTS_FILE, hint="let scripts do less: a receipt names each path"
        )
        return data

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the document in `data`; raises `Malformed`."""
        table = Table.from_json(data, source, max_bytes=MAX_RECEIPTS_BYTES)
        if table.need("receipts-version", int) != _VERSION:
            table.fail("receipts-version", f"want {_VERSION}")
        stars = table.need("stars", dict)
        return cls(
            stars={name: _receipt(table, name, one) for name, one in stars.items()},
            finish=_receipt(table, "finish", table.value("finish")),
        )

    def _events(self) -> Iterator[dict[str, Json]]:
        for receipt in (*self.stars.values(), self.finish):
            events = receipt.get("events") if isinstance(receipt, dict) else None
            yield from (event for event in events if isinstance(event, dict)) if isinstance(events, list) else ()


def _receipt(table: Table, name: str, value: object) -> Json:
    if value is None or isinstance(value, dict):
        return value
    return table.fail(name, "want a table, or null")
