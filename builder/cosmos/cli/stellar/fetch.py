"""`stellar fetch`: a star's sources into its folder, or packages of the archives that apt trusts."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.options import (
    arch_option,
    home_option,
    machine,
    offline_option,
    outside,
    sources_option,
    suite_named,
    suite_option,
)
from cosmos.cli.stellar.workshop import workshop_for
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.debian.apt import Apt
from cosmos.debian.ecosystem import apt_opener
from cosmos.debian.source import PREFIX, DebSource, find_packages
from cosmos.durable import make_folder, write_durably
from cosmos.errors import Malformed
from cosmos.stellar.fetch_sources import FetchedFile, fetch_sources


@click.command("fetch")
@click.argument("sources", metavar="FOLDER|PACKAGE...", nargs=-1, required=True)
@click.option("--out", type=FOLDER, help="Write them here [default: FOLDER, or . for packages].")
@suite_option
@arch_option
@sources_option
@offline_option
@home_option
@reporting_options
@json_option
def fetch(
    sources: tuple[str, ...],
    out: Path | None,
    suite: str | None,
    arch: str,
    apt_sources: Path | None,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Fetch what a star is made of, or Debian packages.

    FOLDER is a star's source folder, written with a slash, as in stars/nano or ./nano. Each source of its star.toml
    that is not a file in the folder is fetched into the folder, and checked: an archive by the sha256 that star.toml
    names, a package by the archive's signed index. The script's build() sees the files. They are not shipped.

    PACKAGE is NAME or NAME=VERSION, or any other form that a recipe's source may have after deb:. None is installed.
    """
    around = surroundings()
    reporter = around.reporter(quiet=as_json)
    folders = [Path(source) for source in sources if "/" in source or source == "."]
    if folders and (len(folders) != len(sources) or suite is not None):
        raise click.UsageError("give FOLDERs, whose star.toml names the suite, or PACKAGEs")
    near = folders[0] if folders else out or Path()
    here = outside(around.home(home, near=near), apt_sources, offline, reporter)
    fetched = (
        [one for folder in folders for one in fetch_sources(folder, out or folder, workshop_for(here, arch))]
        if folders
        else _packages(sources, out or Path(), apt_opener(here)(machine(arch), suite_named(suite)))
    )
    if as_json:
        emit([{"file": str(one.file), "digest": str(one.digest)} for one in fetched])
        return
    for one in fetched:
        say(f"{one.file} {one.digest}")


def _packages(names: tuple[str, ...], out: Path, apt: Apt) -> list[FetchedFile]:
    records = find_packages(apt, [_source(name) for name in names])
    apt.fetch(records)
    make_folder(out)
    fetched: list[FetchedFile] = []
    for record in records:
        write_durably(out / record.file_name, apt.read(record))
        fetched.append(FetchedFile(file=out / record.file_name, digest=record.digest))
    return fetched


def _source(text: str) -> DebSource:
    try:
        return DebSource.parse(PREFIX + text.removeprefix(PREFIX))
    except ValueError as error:
        raise Malformed(text, str(error)) from error
