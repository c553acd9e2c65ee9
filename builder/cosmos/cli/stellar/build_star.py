"""`stellar build-star`: the archives of stars, from their source folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    offline_option,
    outside,
    replace_option,
    sources_option,
)
from cosmos.cli.stellar.workshop import workshop_for
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed, quoted
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.reporter import Reporter, counted
from cosmos.stellar.add_star import Unpublished, add_star
from cosmos.stellar.build_star import BuiltStar, build_star, fetch_ahead
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.validate_star import validate_star


@click.command("build-star")
@click.argument("folders", metavar="FOLDER...", type=FOLDER, nargs=-1, required=True)
@click.option("--galaxy", type=FOLDER, help="Put them into this galaxy: archive, statement and signatures.")
@click.option("--out", type=FOLDER, help="Without a galaxy: write the archives here [default: .].")
@click.option(
    "--source-date-epoch", "epoch", type=click.IntRange(min=0), help="Time of files that have none of their own."
)
@keys_option
@passphrase_fd_option
@arch_option
@level_option
@sources_option
@replace_option
@offline_option
@home_option
@reporting_options
@json_option
def build(
    folders: tuple[Path, ...],
    galaxy: Path | None,
    out: Path | None,
    epoch: int | None,
    keys: tuple[Path, ...],
    passphrase_fd: int | None,
    arch: str,
    level: int,
    apt_sources: Path | None,
    unpublished: Unpublished,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Build the archive of each star whose source is a FOLDER: the same input gives the same bytes.

    Packages that its star.toml names (source = "deb:NAME") are fetched through apt, which verifies them; no root is
    needed. Archives (source = "tar:PATH-OR-URL") must have the digest that it names (sha256 = "…"). Its script's
    build() may start programs, in a sandbox (bubblewrap) with this machine's /usr.

    A star that a galaxy has published never changes: other bytes under its version are refused.
    """
    if galaxy is None and keys:
        raise Malformed("--key", "signs the star's statement, which belongs to a galaxy", hint="add --galaxy FOLDER")
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    reporter = around.reporter(quiet=as_json)
    here = outside(around.home(home, near=folders[0]), apt_sources, offline, reporter)
    workshop = replace(workshop_for(here, arch), level=level, epoch=epoch)
    fetch_ahead(folders, workshop)
    rows: list[dict[str, Json]] = []
    unrun: dict[Path, tuple[str, ...]] = {}
    for number, folder in enumerate(folders, 1):
        place = f"star {number} of {len(folders)}" if len(folders) > 1 else ""
        built = build_star(folder, replace(workshop, place=place))
        for one in validate_star(folder):
            if one.weight == "error":
                around.terminal.warn(f"{folder}: {one.problem}")
        rows.append(_kept(built, galaxy, out, secrets, unpublished, reporter))
        unrun |= {folder: built.unrun} if built.unrun else {}
    _tell_built(len(folders), unrun, reporter)
    if as_json:
        emit([*rows])
        return
    for row in rows:
        say(f"{row['archive']} {row['digest']}")


def _tell_built(count: int, unrun: Mapping[Path, tuple[str, ...]], reporter: Reporter) -> None:
    """End the progress line; say once, for all stars together, that maintainer scripts are not run."""
    if count > 1:
        reporter.step(f"built {counted(count, 'star')}")
    if unrun:
        scripts_of = f"{counted(sum(map(len, unrun.values())), 'maintainer script')} of {counted(len(unrun), 'star')}"
        reporter.note(f"not run: {scripts_of}; to list them: stellar scripts {' '.join(map(quoted, unrun))}")


def _kept(
    built: BuiltStar,
    galaxy: Path | None,
    out: Path | None,
    keys: tuple[SecretKey, ...],
    unpublished: Unpublished,
    reporter: Reporter,
) -> dict[str, Json]:
    """Write the archive to its place, and return the answer."""
    row: dict[str, Json] = {
        "name": str(built.manifest.name),
        "version": str(built.manifest.version),
        "digest": str(built.digest),
        "size-bytes": len(built.packed.data),
        "files": sum(entry.kind != "dir" for entry in built.entries),
        "maintainer-scripts": list(built.unrun),
    }
    if galaxy is None:
        return {**row, "archive": str(built.write(out or Path()))}
    added = add_star(GalaxyFolder(root=galaxy), built, keys, unpublished=unpublished, reporter=reporter)
    if added.replaced:
        reporter.note(f"{built.manifest.id}: replaces {added.replaced}, which no index has listed")
    return {**row, "archive": str(added.archive), "statement": str(added.statement_file)}
