"""`cosmos owns`: say which star owns a path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.owners import Owned, Owner, owners_of
from cosmos.device.root import LiveRoot, shown
from cosmos.errors import NoSolution


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@root_option
@json_option
def owns(paths: tuple[str, ...], root: Path, as_json: bool) -> int:
    """Say which star, or which layer of the image, owns each PATH of the system.

    The system's own links are followed. Exit 3: nobody owns one of the paths.
    """
    with LiveRoot.open(root) as live:
        try:
            found = owners_of(live, paths)
        except ValueError as error:
            raise click.UsageError(f"PATH: {error}") from error
    if as_json:
        emit([_row(one) for one in found])
    else:
        for one in found:
            for line in _lines(one):
                say(line)
    nobodys = [one for one in found if not one.is_known]
    for one in nobodys:
        surroundings().terminal.error(f"{shown(one.path)}: {_nobody(one)}")
    return NoSolution.exit_code if nobodys else 0


def _nobody(one: Owned) -> str:
    return "no star owns it" if one.is_there else "there is no such path, and no star ever brought it"


def _lines(one: Owned) -> Iterator[str]:
    where = shown(one.path)
    if one.is_own:
        yield f"{where}: cosmos itself and the operator write it"
    for owner in one.owners:
        yield f"{where}: {_said(owner)}{'' if one.is_there else '; it is not there now'}"


def _said(owner: Owner) -> str:
    who = f"the image's {owner.name}" if owner.version is None else f"{owner.name} {owner.version}"
    if owner.entry is None:
        return who
    kind = owner.entry.kind
    return f"{who} (shared folder)" if owner.entry.is_shared else f"{who} ({_KINDS.get(kind, kind)})"


_KINDS = {"dir": "folder", "symlink": "link", "hardlink": "hard link", "char": "device", "block": "device"}


def _row(one: Owned) -> dict[str, Json]:
    return {
        "asked": one.asked,
        "path": shown(one.path),
        "there": one.is_there,
        "of-cosmos": one.is_own,
        "owners": [
            {
                "star": None if owner.version is None else owner.name,
                "version": None if owner.version is None else str(owner.version),
                "layer": owner.name if owner.version is None else None,
                "kind": None if owner.entry is None else owner.entry.kind,
                "shared": owner.entry is not None and owner.entry.is_shared,
            }
            for owner in one.owners
        ],
    }
