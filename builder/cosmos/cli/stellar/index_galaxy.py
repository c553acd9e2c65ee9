"""`stellar index-galaxy`: write, sign and publish the index of a galaxy."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.options import keys_option
from cosmos.cli.stellar.publishing import demand_roles, fewer_option, indexed_row, say_that_it_waits, today, with_role
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.model.galaxy import INDEX_FORMAT
from cosmos.model.reporter import counted
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.index_galaxy import index_galaxy
from cosmos.stellar.publishing import Fewer


@click.command("index-galaxy")
@click.argument("folder", type=FOLDER)
@keys_option
@passphrase_fd_option
@fewer_option
@click.option(
    "--format",
    "number",
    type=click.IntRange(1, INDEX_FORMAT),
    help="The format of the index [default: the galaxy keeps its own]. An older cosmos refuses a newer format.",
)
@reporting_options
@json_option
def index(
    folder: Path,
    keys: tuple[Path, ...],
    passphrase_fd: int | None,
    fewer: Fewer,
    number: int | None,
    as_json: bool,
) -> None:
    """Write the index of the galaxy in FOLDER, sign it, and publish it in one step.

    Author keys sign the statements of stars, galaxy keys the index. A galaxy in which nothing has changed keeps its
    bytes. An index with fewer signatures than the one before waits in snapshots/ until stellar sign adds the others.
    """
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    reporter = around.reporter(quiet=as_json)
    demand_roles(secrets)
    done = index_galaxy(
        GalaxyFolder(root=folder),
        authors=with_role(secrets, "author"),
        galaxies=with_role(secrets, "galaxy"),
        today=today(around.now()),
        reporter=reporter,
        fewer=fewer,
        number=number,
    )
    if as_json:
        emit(indexed_row(done))
        return
    state = f"seq {done.index.seq}" if done.is_changed else f"unchanged at seq {done.index.seq}"
    say(f"{folder}: {counted(len(done.index.newest), 'star')}, {counted(len(done.index.snapshot), 'version')}, {state}")
    if done.missing:
        say_that_it_waits(done, folder)
    elif not any(key.role == "galaxy" for key in secrets):
        around.terminal.note(f"sign it with: stellar sign {folder} --key GALAXY.key")
    if done.index.catalogue is None or done.index.format < INDEX_FORMAT:
        move = f"stellar index-galaxy {folder} --format {INDEX_FORMAT} --key GALAXY.key"
        has = f"format {done.index.format}, and {'a' if done.index.catalogue else 'no'} catalogue for cosmos search"
        around.terminal.note(f"the index has {has}; to write all that is new: {move}")
