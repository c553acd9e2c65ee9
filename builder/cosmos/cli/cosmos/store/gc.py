"""`cosmos store gc`: remove what was used least recently."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.store.place import home_at, limit_of, said_of, store_at
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.model.home_settings import HOME_SETTINGS_FILE, parse_size, shown_size
from cosmos.model.reporter import counted
from cosmos.store.upkeep import collect


class _Size(click.ParamType[int]):
    """A size such as 20GiB."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return how many bytes it means."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("gc")
@click.option(
    "--limit",
    type=_Size(),
    help=f"What may stay, such as 5GiB [default: `limit` of [store] in HOME/{HOME_SETTINGS_FILE}, else 20GiB].",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@home_option
@json_option
def store_gc(limit: int | None, dry_run: bool, home: Path | None, as_json: bool) -> None:
    """Remove files of the store until it is within its limit, the least recently used first.

    What killed commands left unfinished goes first. What went is fetched or made again when a build needs it. While
    another command uses the store, nothing is removed (exit 5).
    """
    place = home_at(home)
    limit_bytes = limit_of(place) if limit is None else limit
    store = store_at(place)
    done = collect(store, limit_bytes, dry_run=dry_run)
    if as_json:
        emit(
            {
                "store": str(store.root),
                "limit-bytes": limit_bytes,
                "size-bytes": done.size_bytes - (0 if dry_run else done.freed_bytes),
                "freed-bytes": done.freed_bytes,
                "dry-run": dry_run,
                "removed": [{"path": item.shown, "size-bytes": item.size_bytes} for item in done.removed],
            }
        )
        return
    say(said_of(store))
    verb = "would remove" if dry_run else "removed"
    for item in done.removed if dry_run else ():
        say(f"  {item.size_bytes:>13,}  {item.shown}")
    say(
        f"{verb} {counted(len(done.removed), 'file')}, {shown_size(done.freed_bytes)}; "
        f"{shown_size(done.size_bytes - done.freed_bytes)} {'would be' if dry_run else 'are'} left, "
        f"the limit is {shown_size(limit_bytes)}"
    )
