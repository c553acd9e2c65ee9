"""The parts that `galaxy-init`, `index-galaxy` and `sign` share: --publish, keys by role, the answer about an index."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed, quoted
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.reporter import counted
from cosmos.stellar.index_galaxy import Indexed

fewer_option = click.option(
    "--publish",
    "fewer",
    flag_value="publish",
    default="wait",
    help="Publish the index although fewer keys have signed it than the one before.",
)


def indexed_row(done: Indexed) -> dict[str, Json]:
    """Return the answer of `--json` about a galaxy's index."""
    return {
        "galaxy": str(done.index.name),
        "seq": done.index.seq,
        "digest": str(done.digest),
        "changed": done.is_changed,
        "stars": len(done.index.newest),
        "versions": len(done.index.snapshot),
        "stated": list(done.stated),
        "withdrawn": list(done.withdrawn),
        "signatures": done.signed,
        "published": not done.missing,
    }


def say_that_it_waits(done: Indexed, folder: Path) -> None:
    """Note that an index has fewer signatures than the one before, and say how to publish it."""
    surroundings().terminal.note(
        f"seq {done.index.seq} is not published yet: it has {counted(done.missing, 'signature')} fewer than the index "
        f"before\nnext: stellar sign {quoted(folder)} --key GALAXY.key "
        "(or --publish, where fewer are enough from now on)"
    )


def with_role(secrets: tuple[SecretKey, ...], role: str) -> tuple[SecretKey, ...]:
    """Return the keys of one role."""
    return tuple(key for key in secrets if key.role == role)


def demand_roles(secrets: tuple[SecretKey, ...]) -> None:
    """Refuse keys that sign nothing in a galaxy; raises `Malformed`."""
    for key in secrets:
        if key.role not in ("author", "galaxy"):
            said = f"has the role {key.role}; a galaxy is signed by author and galaxy keys"
            hint = "name other keys, or make one: cosmos key new NAME --role author, or --role galaxy"
            raise Malformed(f"key {key.public.name}", said, hint=hint)


def today(now: float) -> str:
    """Return the day of the clock value, as the version of a galaxy."""
    return datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y.%m.%d")
