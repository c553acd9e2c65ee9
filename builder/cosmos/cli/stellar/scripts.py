"""`stellar scripts`: the maintainer scripts that are never run."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.stellar.options import arch_option, home_option, offline_option, outside, sources_option
from cosmos.cli.stellar.workshop import workshop_for
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.model.reporter import Silent
from cosmos.stellar.build_star import maintainer_scripts


@click.command("scripts")
@click.argument("folders", metavar="FOLDER...", type=FOLDER, nargs=-1, required=True)
@arch_option
@sources_option
@offline_option
@home_option
@json_option
def scripts(
    folders: tuple[Path, ...], arch: str, apt_sources: Path | None, offline: bool, home: Path | None, as_json: bool
) -> None:
    """List the maintainer scripts of the packages that each star in a FOLDER is made from. None of them is ever run.

    What a script does that the star needs belongs into the star's install.lua.
    """
    around = surroundings()
    here = outside(around.home(home, near=folders[0]), apt_sources, offline, Silent())
    workshop = workshop_for(here, arch)
    found = {folder: maintainer_scripts(folder, workshop) for folder in folders}
    if as_json:
        emit({str(folder): list(names) for folder, names in found.items()})
        return
    for folder, names in found.items():
        for name in names:
            say(f"{folder}: {name}")
