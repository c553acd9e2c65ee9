"""`cosmos store stat`: show what the store holds."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.store.place import home_at, limit_of, said_of, store_at
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.model.home_settings import shown_size
from cosmos.store.upkeep import KINDS, items

_MEANING = {
    "blob": "archives and packed layers, by their digests",
    "result": "records of what was made, by their inputs",
    "batch": "files with many signed documents each",
    "partial": "downloads that were cut off",
    "temporary": "files that are being written",
}


@click.command("stat")
@home_option
@json_option
def store_stat(home: Path | None, as_json: bool) -> None:
    """Show how many files of each kind the store holds, their size, and the limit. Nothing is hashed."""
    place = home_at(home)
    store, limit_bytes = store_at(place), limit_of(place)
    found = items(store)
    rows = {kind: [item.size_bytes for item in found if item.kind == kind] for kind in KINDS}
    total = sum(map(sum, rows.values()))
    if as_json:
        kinds: dict[str, Json] = {kind: {"files": len(row), "size-bytes": sum(row)} for kind, row in rows.items()}
        emit({"store": str(store.root), "size-bytes": total, "limit-bytes": limit_bytes, "kinds": kinds})
        return
    say(said_of(store))
    for kind, row in rows.items():
        say(f"{kind:>9}  {len(row):>8,}  {shown_size(sum(row)):>10}  {_MEANING[kind]}")
    say(f"{'all':>9}  {len(found):>8,}  {shown_size(total):>10}  of {shown_size(limit_bytes)}")
