"""`stellar new-star`, `build-star` and `validate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar_options import (
    FOLDER,
    arch_option,
    home_option,
    json_option,
    keys_option,
    level_option,
    machine,
    offline_option,
    outside,
    replace_option,
    sources_option,
)
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, Silent, counted
from cosmos.stellar.add_star import Unpublished, add_star
from cosmos.stellar.build_star import DEFAULT_LEVEL, BuiltStar, Workshop, build_star, maintainer_scripts
from cosmos.stellar.ecosystems import opened
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.new_star import new_star
from cosmos.stellar.programs import HostPrograms
from cosmos.stellar.validate_star import Finding, validate_star
from cosmos.tree.ecosystem import Outside


@click.command("new-star")
@click.argument("name")
@click.option("--folder", type=FOLDER, default=Path("stars"), show_default=True, help="Make NAME in this folder.")
@click.option("--deb", metavar="PACKAGE", help="Make it of this Debian package.")
@click.option("--description", metavar="TEXT", default="", help="What it is, in a line.")
@click.option("--license", "licence", metavar="SPDX", default="", help="Its licence, as an SPDX expression.")
@json_option
def new(name: str, folder: Path, deb: str | None, description: str, licence: str, as_json: bool) -> None:
    """Make the source folder of a star: a star.toml to fill in, an install script, files/."""
    around = surroundings()
    if around.stdin_is_terminal and not as_json:
        description = description or click.prompt("What is it, in a line", default="", show_default=False, err=True)
        licence = licence or click.prompt("Its licence (SPDX)", default="", show_default=False, err=True)
    try:
        star = StarName.parse(name)
    except ValueError as error:
        raise Malformed("the star's name", str(error)) from error
    made = new_star(folder / star, star, deb=deb, description=description, licence=licence)
    if as_json:
        emit({"folder": str(folder / star), "files": [str(file) for file in made]})
        return
    for file in made:
        say(str(file))
    around.terminal.note(f"next: stellar validate {folder / star}")


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
    workshop = replace(_workshop(here, arch), level=level, epoch=epoch)
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
    workshop = _workshop(here, arch)
    found = {folder: maintainer_scripts(folder, workshop) for folder in folders}
    if as_json:
        emit({str(folder): list(names) for folder, names in found.items()})
        return
    for folder, names in found.items():
        for name in names:
            say(f"{folder}: {name}")


@click.command("validate")
@click.argument("paths", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@json_option
def validate(paths: tuple[Path, ...], as_json: bool) -> int:
    """Check stars: source folders or archives. Says everything that is wrong at once."""
    findings = {path: validate_star(path) for path in paths}
    wrong = sum(one.weight == "error" for rows in findings.values() for one in rows)
    if as_json:
        emit({str(path): [_finding_row(one) for one in rows] for path, rows in findings.items()})
    else:
        for path, rows in findings.items():
            for one in rows:
                say(f"{path}: {one.weight}: {one.problem}")
            say(f"{path}: {'good' if not any(one.weight == 'error' for one in rows) else 'not good'}")
    return Malformed.exit_code if wrong else 0


COMMANDS: tuple[click.Command, ...] = (new, build, scripts, validate)


def _workshop(here: Outside, arch: str) -> Workshop:
    return Workshop(
        ecosystems=opened(here),
        machine=machine(arch),
        programs=lambda time: HostPrograms(epoch=time, reporter=here.reporter),
        level=DEFAULT_LEVEL,
        epoch=None,
        reporter=here.reporter,
    )


def _tell_built(count: int, unrun: Mapping[Path, tuple[str, ...]], reporter: Reporter) -> None:
    """End the line that moves; say once, for all stars together, that maintainer scripts are not run."""
    if count > 1:
        reporter.step(f"built {counted(count, 'star')}")
    if unrun:
        scripts_of = f"{counted(sum(map(len, unrun.values())), 'maintainer script')} of {counted(len(unrun), 'star')}"
        reporter.note(f"not run: {scripts_of}; to list them: stellar scripts {' '.join(map(str, unrun))}")


def _kept(
    built: BuiltStar,
    galaxy: Path | None,
    out: Path | None,
    keys: tuple[SecretKey, ...],
    unpublished: Unpublished,
    reporter: Reporter,
) -> dict[str, Json]:
    """Write the archive where it belongs, and return the answer."""
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


def _finding_row(one: Finding) -> dict[str, Json]:
    return {"weight": one.weight, "problem": one.problem}
