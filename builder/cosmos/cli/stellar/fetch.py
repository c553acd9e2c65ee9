"""`stellar fetch`: packages of the archives that apt trusts, into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import FOLDER, json_option
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
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.debian.ecosystem import apt_opener
from cosmos.debian.source import PREFIX, DebSource, find_package
from cosmos.durable import make_folder, write_durably
from cosmos.errors import Malformed


@click.command("fetch")
@click.argument("packages", nargs=-1, required=True)
@click.option("--out", type=FOLDER, default=Path(), help="Write them here [default: .].")
@suite_option
@arch_option
@sources_option
@offline_option
@home_option
@json_option
def fetch(
    packages: tuple[str, ...],
    out: Path,
    suite: str | None,
    arch: str,
    apt_sources: Path | None,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Fetch Debian packages: each checked against the archive's signed index, none installed.

    PACKAGES are NAME or NAME=VERSION, or whatever else a recipe's source may say after deb:.
    """
    around = surroundings()
    reporter = around.reporter(quiet=as_json)
    here = outside(around.home(home, near=out), apt_sources, offline, reporter)
    apt = apt_opener(here)(machine(arch), suite_named(suite))
    records = [find_package(apt, _source(package)) for package in packages]
    apt.fetch(records)
    make_folder(out)
    rows: list[Json] = []
    for record in records:
        write_durably(out / record.file_name, apt.read(record))
        rows.append({"file": str(out / record.file_name), "digest": str(record.digest)})
        if not as_json:
            say(f"{out / record.file_name} {record.digest}")
    if as_json:
        emit(rows)


def _source(text: str) -> DebSource:
    try:
        return DebSource.parse(PREFIX + text.removeprefix(PREFIX))
    except ValueError as error:
        raise Malformed(text, str(error)) from error
