"""`stellar import-deb`: whole Debian packages as stars."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.options import (
    arch_option,
    home_option,
    keys_option,
    level_option,
    machine,
    offline_option,
    outside,
    replace_option,
    sources_option,
    suite_named,
    suite_option,
)
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.debian.ecosystem import apt_opener
from cosmos.errors import NoSolution, Refused, quoted
from cosmos.model.reporter import Reporter, counted
from cosmos.stellar.add_star import Unpublished
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.import_deb import Imported, ImportRequest, import_debs

_SHOWN = 8  # names in one line of a report


@click.command("import-deb")
@click.argument("packages", nargs=-1, required=True)
@click.option("--galaxy", type=FOLDER, required=True, help="Put the stars into this galaxy.")
@click.option("--closure", is_flag=True, help="Also import all their dependencies.")
@click.option("--with-essential", is_flag=True, help="Also import the essential packages, as debian-essential.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Packages to work on at a time [default: the processors].")
@keys_option
@passphrase_fd_option
@arch_option
@level_option
@sources_option
@suite_option
@replace_option
@offline_option
@home_option
@reporting_options
@json_option
def import_deb(
    packages: tuple[str, ...],
    galaxy: Path,
    closure: bool,
    with_essential: bool,
    jobs: int | None,
    keys: tuple[Path, ...],
    passphrase_fd: int | None,
    arch: str,
    level: int,
    apt_sources: Path | None,
    suite: str | None,
    unpublished: Unpublished,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Convert whole Debian packages into stars.

    PACKAGES are NAME or NAME=VERSION. apt fetches and verifies them. Their maintainer scripts are not run; the packages
    that have some are reported. Afterwards, run stellar index-galaxy.
    """
    around = surroundings()
    reporter = around.reporter(quiet=as_json)
    here = outside(around.home(home, near=galaxy), apt_sources, offline, reporter)
    apt = apt_opener(here)(machine(arch), suite_named(suite))
    request = ImportRequest(
        packages=tuple(dict.fromkeys(packages)),
        architecture=apt.state.architecture,
        scope="closure" if closure else "as asked",
        level=level,
        workers=jobs or os.cpu_count() or 1,
        unpublished=unpublished,
        essential="imported" if with_essential else "assumed",
    )
    done = import_debs(request, apt, GalaxyFolder(root=galaxy), load_secret_keys(keys, passphrase_fd), reporter)
    if as_json:
        emit(_row(done))
    else:
        _tell(done, reporter)
        for one in done.stars:
            say(f"{one.archive} {one.star.license}")
    _demand_all(done)
    around.terminal.note(f"next: stellar index-galaxy {quoted(galaxy)} --key GALAXY.key")


def _demand_all(done: Imported) -> None:
    """Raise for packages that did not become stars: `Refused` if another is published, else `NoSolution`."""
    if done.refused:
        name, refusal = next(iter(done.refused.items()))
        others = f", and {len(done.refused) - 1} more" if len(done.refused) > 1 else ""
        raise Refused("import-deb", f"{refusal}{others}", hint=done.hints.get(name))
    if done.failed:
        names = _some(list(done.failed))
        hint = next(iter(done.hints.values()), None)
        raise NoSolution("import-deb", f"{len(done.failed)} packages could not be made stars: {names}", hint=hint)


def _tell(done: Imported, reporter: Reporter) -> None:
    for name, reason in done.failed.items():
        reporter.warn(f"{name}: {reason}")
    if done.kept:
        reporter.warn(
            f"{counted(len(done.kept), 'star')} of the same package, made in another way, were there already "
            f"and stay as they were: {_some(list(done.kept))}"
        )
    for name, rows in done.unmet.items():
        reporter.warn(f"{name}: needs packages that the host's sources do not have: {', '.join(rows)}")
    if done.missing:
        reporter.warn(f"needed, but no star here answers: {_some(list(done.missing))}; --closure imports them too")
    if done.assumed:
        several = f"these {len(done.assumed)} packages, and no package names them"
        reporter.note(f"Debian assumes {several}: {_some(list(done.assumed))}; --with-essential imports them")
    scripts = [str(one.star.name) for one in done.stars if one.unrun]
    if scripts:
        have = counted(len(scripts), "package has", "packages have")
        reporter.note(f"{have} maintainer scripts, which are not run: {_some(scripts)}")
    new = sum(one.is_new for one in done.stars)
    reporter.note(f"{counted(len(done.stars), 'star')}, {new} of them new")


def _row(done: Imported) -> dict[str, Json]:
    stars: list[Json] = [
        {
            "name": str(one.star.name),
            "version": str(one.star.version),
            "license": one.star.license,
            "archive": str(one.archive),
            "new": one.is_new,
            "maintainer-scripts": list(one.unrun),
        }
        for one in done.stars
    ]
    return {
        "stars": stars,
        "missing": list(done.missing),
        "unmet": {name: list(rows) for name, rows in done.unmet.items()},
        "assumed": list(done.assumed),
        "failed": dict(done.failed),
        "kept": dict(done.kept),
        "refused": dict(done.refused),
    }


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
