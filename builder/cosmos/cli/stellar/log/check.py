"""`stellar log check`: does the log hold together, and go on from what was seen?"""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FILE, FOLDER, json_option
from cosmos.cli.stellar.log.options import home_option, pinned_roots
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.log import check_log

NO_MEMORY = "no head was remembered: a log that was forked or cut before today cannot be told"


@click.command("check")
@click.argument("folder", type=FOLDER)
@click.option("--seen", type=FILE, metavar="FILE", help="The head that was seen last; becomes the one seen now.")
@home_option
@json_option
def check(folder: Path, seen: Path | None, home: Path | None, as_json: bool) -> None:
    """Check the log of the galaxy in FOLDER: its head's signatures, every tile, every proof.

    With --seen, also that it begins with all that it held before: otherwise it was cut or forked, exit 4.
    """
    done = check_log(GalaxyFolder(root=folder), pinned_roots(home, folder), seen)
    head = done.head.head
    if as_json:
        emit(
            {
                "origin": head.origin,
                "size": head.size,
                "root": head.root.hex(),
                "stars": done.stars,
                "signers": list(done.head.signers),
                "witnesses": list(done.head.witnesses),
                "continues": done.continued,
            }
        )
        return
    before = f", continues the {done.continued} seen before" if done.continued is not None else ""
    say(f"{folder}: {head.origin} has {head.size} entries{before}; {len(done.head.witnesses)} witnesses")
    if done.continued is None and not done.head.witnesses:
        surroundings().terminal.note(NO_MEMORY)
