"""`cosmos status`: show the image, stars, trust and galaxies of a system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.cosmos.rows import counted, galaxy_row, trust_rows
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.root import LiveRoot, shown
from cosmos.device.status import SystemStatus, system_status, trust_advice
from cosmos.model.journal import change_words

_FEW: Final = 20  # so many stars are listed always: they fit on a screen
_STANDINGS: Final = {
    "running": "is going on",
    "interrupted": "was cut off: the next cosmos install puts back what was there before",
    "committed": "was cut off when all was in place: the next cosmos install finishes it",
    "unreadable": "was cut off, and its journal is damaged or of another cosmos: finish it with that one",
    "unclear": "is going on, or was cut off: only the system's owner can tell",
}


@click.command()
@click.option("--stars", "lists_stars", is_flag=True, help=f"List every star, also if there are more than {_FEW}.")
@root_option
@json_option
def status(lists_stars: bool, root: Path, as_json: bool) -> None:
    """Show this system: its image, its stars, its trust document, its galaxies."""
    with LiveRoot.open(root) as live:
        found = system_status(live)
    if as_json:
        emit(_status_row(found))
        return
    for line in _status_lines(found, all_stars=lists_stars or len(found.universe.installed) <= _FEW):
        say(line)


def _status_row(status: SystemStatus) -> dict[str, Json]:
    """Return a system's status."""
    universe, vouching = status.universe, status.settings.vouching
    return {
        "root": status.root,
        "image": universe.image,
        "version": universe.version,
        "arch": str(universe.arch),
        "content-root": None if universe.content_root is None else str(universe.content_root),
        "stars": {str(name): str(star.version) for name, star in sorted(universe.installed.items())},
        "files": status.files,
        "files-of-stars": {str(name): len(star.files) for name, star in sorted(universe.installed.items())},
        "bytes": status.size_bytes,
        "trust": None if status.trust is None else str(status.trust.digest),
        "trust-version": None if status.trust is None else status.trust.version,
        "newer-trust": None if status.newer_trust is None else status.newer_trust.version,
        **trust_rows(status.installed_trust),
        "policy": {"log": vouching.log, "badges": {str(kind): least for kind, least in vouching.badges.items()}},
        "galaxies": [galaxy_row(galaxy) for galaxy in status.settings.galaxies],
        "installation": status.standing,
        "changing-command": status.command or None,
        "new-configuration": [shown(path) for path in status.new_beside],
    }


def _status_lines(status: SystemStatus, *, all_stars: bool) -> Iterator[str]:
    """Yield a system's status, with a line for each star if `all_stars`."""
    universe, settings = status.universe, status.settings
    yield f"image         {universe.image or 'none'} {universe.version} ({universe.arch})"
    yield f"made as       {universe.content_root or 'unknown'} (content root without universe.toml)"
    yield f"stars         {len(universe.installed)} with {counted(status.files, 'file')}, {status.size_bytes:,} bytes"
    for name, star in sorted(universe.installed.items()) if all_stars else ():
        brought = "nebula" if star.type in ("nebula", "meta") else counted(len(star.files), "file")
        yield f"  {name} {star.version}: {brought}, from {star.galaxy or 'an unknown galaxy'}"
    if not all_stars:
        yield "  to list them: cosmos status --stars"
    yield f"trust         {_trust(status)}"
    for one in status.installed_trust.untrusted:
        yield f"not trusted   {one.name} {one.version}: {one.why}"
    if status.installed_trust.problem:
        yield f"signatures    were not judged: {status.installed_trust.problem}"
    if settings.vouching:
        yield f"policy        {_demands(status)}"
    yield f"galaxies      {', '.join(galaxy.name for galaxy in settings.galaxies) or 'none'}"
    for path in status.new_beside:
        yield f"new config    {shown(path)}: it was laid beside the file that you changed"
    if status.standing != "idle":
        yield f"change        {change_words(status.command)} {_STANDINGS[status.standing]}"


def _trust(status: SystemStatus) -> str:
    """Return the accepted trust document, and how many versions it is behind what a galaxy in a folder carries."""
    if status.trust is None:
        return trust_advice(status)
    said = f"version {status.trust.version} ({status.trust.digest})"
    newer = status.newer_trust
    if newer is None:
        return said
    behind = counted(newer.version - status.trust.version, "version")
    return f"{said}: {behind} behind galaxy {newer.galaxy}; to catch up: cosmos sync {newer.galaxy}"


def _demands(status: SystemStatus) -> str:
    """Return what the policy demands of every star, and which of it no star can have, for want of pinned keys."""
    vouching = status.settings.vouching
    said = ["every star must be in its galaxy's log"] if vouching.log else []
    said += [f"{counted(least, f'{kind} badge')} for every star" for kind, least in vouching.badges.items()]
    for row in status.unmet:
        said.append(f"but {row}, so no star can be installed")
    return ", ".join(said)
