"""`cosmos why`: say why a star is installed, or why a star or a path is in an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.completing import locked_stars
from cosmos.cli.cosmos.arguments import parsed, root_text
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.device.why import Reasons, reasons_for
from cosmos.errors import Malformed, quoted
from cosmos.image.reasons import Explained, PathReasons, StarReasons
from cosmos.model.names import StarName
from cosmos.resolve.chains import Chain


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[IMAGE] STAR|PATH", shell_complete=locked_stars)
@root_option
@json_option
def why(words: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Say why STAR is installed: each chain from somebody's wish to it, the shortest first.

    With IMAGE (an image's folder or its release), why STAR is in its lock; or for a PATH, such as /usr/bin/sh, which
    star it is of, which line of its script made it, which layer has it, and who signed the star.
    """
    if len(words) == 1:
        found = _installed(words[0], root)
        row, lines = _row(found), _lines(found)
    elif len(words) == 2:
        image = Explained(Path(words[0]))
        if words[1].startswith("/"):
            paths = image.path(words[1])
            row, lines = {"paths": [_path_row(one) for one in paths]}, _path_lines(paths)
        else:
            reasons = image.star(parsed(StarName.parse, words[1], "STAR"))
            row, lines = _star_row(reasons), _star_lines(reasons)
    else:
        raise Malformed("cosmos why", f"wants one or two words, got {len(words)}", hint="cosmos why --help")
    if as_json:
        emit(row)
        return
    for line in lines:
        say(line)


def _installed(star: str, root: Path) -> Reasons:
    if star.startswith("/"):
        raise Malformed(
            star, "is a path", hint=f"cosmos owns {quoted(star)}, or for an image: cosmos why IMAGE {quoted(star)}"
        )
    name = parsed(StarName.parse, star, "STAR")
    with LiveRoot.open(root) as live:
        return reasons_for(read_universe(live), name, option=root_text(root))


def _row(found: Reasons) -> dict[str, Json]:
    return {
        "star": str(found.name),
        "version": str(found.version),
        "wanted": bool(found.chains),
        "recorded": found.is_recorded,
        **_chain_rows(found.chains, has_more=found.has_more),
        "needed-by": list(map(str, found.needed_by)),
    }


def _chain_rows(chains: Iterable[Chain], *, has_more: bool) -> dict[str, Json]:
    rows: list[Json] = [{"wish": chain.wish, "stars": list(map(str, chain.stars))} for chain in chains]
    return {"chains": rows, "more": has_more}


def _lines(found: Reasons) -> Iterator[str]:
    star = f"{found.name} {found.version}"
    if not found.is_recorded:
        yield f"{star}: nobody knows: the program that installed it recorded no reason"
    elif not found.chains and found.needed_by:
        yield f"{star}: nobody needs it any more: {', '.join(found.needed_by)} needs it, but nobody asked for that"
    elif not found.chains:
        yield f"{star}: nobody needs it any more: nobody asked for it, and no installed star needs it"
    yield from _chain_lines(found.chains, has_more=found.has_more)


def _chain_lines(chains: tuple[Chain, ...], *, has_more: bool) -> Iterator[str]:
    for chain in chains:
        yield " -> ".join((chain.wish, *chain.stars))
    if has_more:
        yield f"and more: {len(chains)} chains are shown"


def _star_row(found: StarReasons) -> dict[str, Json]:
    star = found.star
    return {
        "star": str(star.name),
        "version": str(star.version),
        "galaxy": str(star.galaxy),
        "archive": str(star.archive),
        "signers": list(star.signers),
        **_chain_rows(found.chains, has_more=found.has_more),
    }


def _star_lines(found: StarReasons) -> Iterator[str]:
    star = found.star
    yield f"star     {star.name} {star.version} from {star.galaxy}, signed by {', '.join(star.signers) or 'nobody'}"
    yield from (f"why      {line}" for line in _chain_lines(found.chains, has_more=found.has_more))


def _path_row(found: PathReasons) -> dict[str, Json]:
    return {
        "entry": str(found.line),
        "path": f"/{found.line.path.text}",
        "star": None if found.star is None else _star_row(found.star),
        "made-by": found.made_by,
        "layer": found.layer,
        "layer-digest": str(found.digest),
    }


def _path_lines(paths: tuple[PathReasons, ...]) -> Iterator[str]:
    for found in paths:
        yield f"/{found.line.path.text}"
        yield f"entry    {found.line}"
        if found.made_by:
            yield f"made by  {found.made_by}"
        yield f"layer    {found.layer} {found.digest}"
        if found.star is not None:
            yield from _star_lines(found.star)
