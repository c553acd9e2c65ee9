"""`cosmos trust update FROM`: take the versions of trust.toml that follow the accepted one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cosmos.cli.cosmos.trust.places import places_to_change
from cosmos.cli.network import network
from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.durable import temporary_folder
from cosmos.errors import WorldFailed
from cosmos.folders import FileIn
from cosmos.keyring.anchors import document_and_envelope, load_trust
from cosmos.keyring.catching_up import CaughtUp, ChainSource, catch_up
from cosmos.keyring.state import NO_MEMORY
from cosmos.staging.carried_trust import chain_at
from cosmos.transport.opening import is_network, open_carrier
from cosmos.trust.chain import step_file

_PREFIX: Final = "cosmos-update-"


@click.command("update")
@click.argument("source", metavar="FROM")
@click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="For this builder's home.")
@click.option("--root", type=FOLDER, help="For the system at this root.")
@click.option("--offline", is_flag=True, help="Make no socket.")
@json_option
def trust_update(source: str, home: Path | None, root: Path | None, offline: bool, as_json: bool) -> None:
    """Accept every version of trust.toml in FROM that follows the accepted one. Each is checked by the one before it.

    FROM is a folder (for example on a stick) with N.toml and N.toml.dsse, a galaxy that has this folder as trust/, or
    one such file. Either all versions are accepted or none.
    """
    with (
        places_to_change(home, root) as (anchor, state),
        temporary_folder(_PREFIX) as partial,
    ):
        had_memory = state.read() is not None
        done = catch_up(anchor, _source(source, anchor, partial, offline=offline), state)
    if as_json:
        emit(
            {
                "file": str(anchor),
                "version": done.anchor.roots.version,
                "digest": str(done.anchor.digest),
                "taken": list(done.taken),
                "rollback-judged": had_memory,
            }
        )
        return
    if not had_memory:
        surroundings().terminal.note(f"{state.path}: {NO_MEMORY}")
    _say(done)


def _say(done: CaughtUp) -> None:
    version = done.anchor.roots.version
    if not done.taken:
        say(f"{done.anchor.path}: version {version}, no news")
        return
    say(f"{done.anchor.path}: version {version}; taken: {', '.join(map(str, done.taken))}")
    for row in done.anchor.roots.revoked:
        say(f"  {done.anchor.roots.name_of(row.key)} {row}")


def _source(text: str, anchor: FileIn, partial: Path, *, offline: bool) -> ChainSource:
    if not is_network(text) and (file := surroundings().at(text)).is_file():
        return _single(file, load_trust(anchor).roots.version + 1)
    if offline and is_network(text):
        raise WorldFailed(
            text, "is not reached offline", hint="run it without --offline, or take the folder from a stick"
        )
    address = text if "://" in text else str(surroundings().at(text))
    carrier = open_carrier(address, Path("/"), partial, network())
    return chain_at(carrier, load_trust(anchor).roots.version, text)


def _single(file: Path, wanted: int) -> ChainSource:
    """Return one file as the next version, under any file name. The document itself says which version it is."""
    data, envelope = document_and_envelope(file)
    files = {step_file(wanted): data, f"{step_file(wanted)}.dsse": envelope}
    return ChainSource(address=str(file), read=files.get)
