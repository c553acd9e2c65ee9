"""`cosmos why`: say why a star is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.arguments import parsed, root_text
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.device.why import Reasons, reasons_for
from cosmos.model.names import StarName


@click.command()
@click.argument("star")
@root_option
@json_option
def why(star: str, root: Path, as_json: bool) -> None:
    """Say why STAR is installed: each chain from somebody's wish to it, the shortest first."""
    name = parsed(StarName.parse, star, "STAR")
    with LiveRoot.open(root) as live:
        found = reasons_for(read_universe(live), name, option=root_text(root))
    if as_json:
        emit(_row(found))
        return
    for line in _lines(found):
        say(line)


def _row(found: Reasons) -> dict[str, Json]:
    return {
        "star": str(found.name),
        "version": str(found.version),
        "wanted": bool(found.chains),
        "recorded": found.is_recorded,
        "chains": [{"wish": chain.wish, "stars": list(map(str, chain.stars))} for chain in found.chains],
        "more": found.has_more,
        "needed-by": list(map(str, found.needed_by)),
    }


def _lines(found: Reasons) -> Iterator[str]:
    star = f"{found.name} {found.version}"
    if not found.is_recorded:
        yield f"{star}: nobody knows: the program that installed it recorded no reason"
    elif not found.chains and found.needed_by:
        yield f"{star}: nobody needs it any more: {', '.join(found.needed_by)} needs it, but nobody asked for that"
    elif not found.chains:
        yield f"{star}: nobody needs it any more: nobody asked for it, and no installed star needs it"
    for chain in found.chains:
        yield " -> ".join((chain.wish, *chain.stars))
    if found.has_more:
        yield f"and more: {len(found.chains)} chains are shown"
