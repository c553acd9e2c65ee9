"""`cosmos store check`: read the whole store, and remove what is damaged."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.store.place import home_at, said_of, store_at
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Differs, WorldFailed, quoted
from cosmos.model.home_settings import shown_size
from cosmos.model.reporter import counted
from cosmos.store.upkeep import check


@click.command("check")
@home_option
@reporting_options
@json_option
def store_check(home: Path | None, as_json: bool) -> None:
    """Hash every file of the store. A damaged one is named and removed (exit 7); a build fetches or makes it again.

    Where nothing can be removed, as on a medium that is read-only, all damaged files are named all the same.
    """
    store, reporter = store_at(home_at(home)), surroundings().reporter(quiet=as_json)
    done = check(store, lambda number, total: reporter.progress("check", number, total))
    if as_json:
        emit(
            {
                "store": str(store.root),
                "files": done.files,
                "size-bytes": done.size_bytes,
                "damaged": list(done.damaged),
                "stuck": None if done.stuck is None else str(done.stuck),
            }
        )
    elif not done.damaged:
        say(said_of(store))
        say(f"{counted(done.files, 'file')}, {shown_size(done.size_bytes)}: all are whole")
    if done.damaged:
        count = f"{counted(len(done.damaged), 'file')} did not have the bytes of their names"
        raise Differs(
            str(store.root),
            f"{count}, and went" if done.stuck is None else f"{count}, and not all could be removed: {done.stuck}",
            differences=done.damaged,
            hint=_way_out(done.stuck),
        )


def _way_out(stuck: WorldFailed | None) -> str:
    if stuck is None:
        return "the disk may fail, or somebody wrote into the store; a build fetches or makes them again"
    if isinstance(stuck.__cause__, IsADirectoryError):
        return f"move that folder away: {quoted(stuck.where)}"
    return "copy the store to a disk that can be written, and run this command on the copy"
