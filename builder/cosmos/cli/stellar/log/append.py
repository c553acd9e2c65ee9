"""`stellar log append`: add the stars of the index to the log."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.options import keys_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.log import append_to_log


@click.command("append")
@click.argument("folder", type=FOLDER)
@keys_option
@passphrase_fd_option
@reporting_options
@json_option
def append(folder: Path, keys: tuple[Path, ...], passphrase_fd: int | None, as_json: bool) -> None:
    """Add all stars in the index of the galaxy in FOLDER to its log, sign the head, and write a proof for each star."""
    done = append_to_log(
        GalaxyFolder(root=folder), load_secret_keys(keys, passphrase_fd), surroundings().reporter(quiet=as_json)
    )
    if as_json:
        emit({"added": done.added, "size": done.head.size, "root": done.head.root.hex(), "proofs": done.proofs})
        return
    say(f"{folder}: {done.added} added, the log has {done.head.size} entries, {done.proofs} proofs")
