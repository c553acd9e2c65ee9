"""`stellar index-galaxy`: write, sign and publish the index of a galaxy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.collecting import collect_seldom
from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.options import keys_option
from cosmos.cli.stellar.publishing import demand_roles, fewer_option, indexed_row, say_that_it_waits, today, with_role
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import quoted
from cosmos.model.galaxy import INDEX_FORMAT
from cosmos.model.reporter import Reporter, counted
from cosmos.stamps import SETTLED_NANOSECONDS
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.index_galaxy import Indexed, index_galaxy
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
@click.option(
    "--trust-stat",
    is_flag=True,
    help="Take an archive that has the size, times and inode of the last run with this option for unchanged, without "
    "hashing it again.",
)
@click.option(
    "--home",
    type=FOLDER,
    envvar="COSMOS_HOME",
    help="The builder's home, which remembers archives for --trust-stat [default: the nearest .cosmos/].",
)
@reporting_options
@json_option
def index(
    folder: Path,
    keys: tuple[Path, ...],
    passphrase_fd: int | None,
    fewer: Fewer,
    number: int | None,
    trust_stat: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Write the index of the galaxy in FOLDER, sign it, and publish it in one step.

    Author keys sign the statements of stars, galaxy keys the index. A galaxy in which nothing has changed keeps its
    bytes. An index with fewer signatures than the one before waits in snapshots/ until stellar sign adds the others.

    Every archive is hashed again and compared with its statement, except with --trust-stat.
    """
    collect_seldom()
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    reporter = around.reporter(quiet=as_json)
    demand_roles(secrets)
    write = partial(
        index_galaxy,
        GalaxyFolder(root=folder),
        authors=with_role(secrets, "author"),
        galaxies=with_role(secrets, "galaxy"),
        today=today(around.now()),
        reporter=reporter,
        fewer=fewer,
        number=number,
    )
    if trust_stat:
        done, looked = _by_stat(write, around.home(home, near=folder), folder, reporter)
    else:
        done, looked = write(), {}
    if as_json:
        emit({**indexed_row(done), **looked})
        return
    _tell(done, folder, is_signed=any(key.role == "galaxy" for key in secrets))


def _by_stat(
    write: Callable[..., Indexed], home: Path, folder: Path, reporter: Reporter
) -> tuple[Indexed, dict[str, Json]]:
    """Return the index, and how many archives were looked at and hashed for it."""
    from cosmos.stellar.known_archives import known_archives  # with a store, which no other run needs

    settled = int(surroundings().now() * 1e9) - SETTLED_NANOSECONDS
    packages = GalaxyFolder(root=folder).packages
    with known_archives(home, packages, settled, reporter.warn) as archives:
        done = write(digest=archives.digest)
    looked, hashed = len(archives.seen), archives.hashed
    others = ", the others have the stat of an earlier run" if hashed < looked else ""
    reporter.step(f"{hashed:,} of {counted(looked, 'archive')} were hashed again{others}")
    return done, {"looked-at": {"files": looked, "hashed": hashed}}


def _tell(done: Indexed, folder: Path, *, is_signed: bool) -> None:
    """Say what was written, and what to do next."""
    terminal = surroundings().terminal
    state = f"seq {done.index.seq}" if done.is_changed else f"unchanged at seq {done.index.seq}"
    say(f"{folder}: {counted(len(done.index.newest), 'star')}, {counted(len(done.index.snapshot), 'version')}, {state}")
    for stem in done.withdrawn:
        terminal.warn(f"withdrawn: {stem}, which the index before listed: its archive is not in packages/")
    if done.missing:
        say_that_it_waits(done, folder)
    elif not is_signed:
        terminal.note(f"sign it with: stellar sign {quoted(folder)} --key GALAXY.key")
    if done.index.catalogue is None or done.index.format < INDEX_FORMAT:
        move = f"stellar index-galaxy {quoted(folder)} --format {INDEX_FORMAT} --key GALAXY.key"
        has = f"format {done.index.format}, and {'a' if done.index.catalogue else 'no'} catalogue for cosmos search"
        terminal.note(f"the index has {has}; to write all that is new: {move}")
