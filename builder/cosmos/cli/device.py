"""The commands on a system: `init`, galaxies, `install`, `status`, `show`; and the system side of `verify`, `freeze`.

All take `--root DIR`: the system below that folder, instead of the one that runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from cosmos.cli.device_rows import (
    galaxy_row,
    good_line,
    installation_lines,
    installation_row,
    shown_lines,
    shown_row,
    status_lines,
    status_row,
    verdict_row,
)
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.freeze import freeze_system
from cosmos.device.install import Order, install, recover, rehearse
from cosmos.device.journal import at_work, standing
from cosmos.device.recovery import Undone
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.show import show as show_star
from cosmos.device.status import system_status
from cosmos.device.system import demand_system, initialise
from cosmos.device.verify import verify_live
from cosmos.limits import MAX_DOCUMENT_BYTES, SETTINGS_SECONDS
from cosmos.model.constellation import Constellation, wish
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.release.receipts import read_receipt
from cosmos.resolve.resolving import Wish
from cosmos.transport.opening import open_carrier

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_root_option = click.option("--root", type=_FOLDER, default=Path("/"), help="The system at this root [default: /].")
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_offline_option = click.option("--offline", is_flag=True, help="Make no socket: read local galaxies and what was kept.")

Named = TypeVar("Named")


@click.command()
@_root_option
@click.option("--arch", default=os.uname().machine, show_default=True, help="The machine that the system is for.")
@click.option("--system-version", default="0.1.0", show_default=True, help="What the system calls its own version.")
@_json_option
def init(root: Path, arch: str, system_version: str, as_json: bool) -> None:
    """Make a bare tree a system: write its config.toml and an empty universe where they are missing."""
    with LiveRoot.open(root) as live:
        done = initialise(live, arch=_parsed(Arch.parse, arch, "--arch"), version=system_version)
    if as_json:
        emit({"wrote": [shown(path) for path in done.wrote], "kept": [shown(path) for path in done.kept]})
        return
    for path in done.wrote:
        say(f"wrote {shown(path)}")
    for path in done.kept:
        say(f"kept  {shown(path)}")
    say(f"next: cosmos add-galaxy NAME URL{_root_text(root)}")


@click.command("add-galaxy")
@click.argument("name")
@click.argument("url")
@click.option(
    "--allow-unsigned", is_flag=True, help="Take stars from it that nobody signed. It is shown at every step."
)
@_root_option
@_json_option
def add_galaxy(name: str, url: str, allow_unsigned: bool, root: Path, as_json: bool) -> None:
    """Take stars from the galaxy at URL: a folder, file:// or http://. A known NAME gets the new address."""
    has_scheme = "://" in url
    address = url if has_scheme else os.path.normpath(surroundings().cwd / url)
    galaxy = GalaxySource(name=_parsed(GalaxyName.parse, name, "NAME"), url=address, allow_unsigned=allow_unsigned)
    carrier = open_carrier(url, surroundings().cwd, root)  # judges the address; nothing is read, and no socket is made
    with LiveRoot.open(root) as live:
        demand_system(live)
        with at_work(live, SETTINGS_SECONDS):
            write_settings(live, read_settings(live).with_galaxy(galaxy))
    if carrier.is_local and not Path(carrier.address).is_dir():
        surroundings().terminal.warn(f"{name}: {carrier.address} is no folder at the moment")
    if allow_unsigned:
        surroundings().terminal.warn(f"{name}: stars that nobody signed will be taken from it")
    if as_json:
        emit(galaxy_row(galaxy))
        return
    say(f"{galaxy.name}  {galaxy.url}")
    say(f"next: cosmos install STAR{_root_text(root)}")


@click.command("remove-galaxy")
@click.argument("name")
@_root_option
@_json_option
def remove_galaxy(name: str, root: Path, as_json: bool) -> None:
    """Take no more stars from a galaxy. What came from it stays installed."""
    with LiveRoot.open(root) as live:
        demand_system(live)
        with at_work(live, SETTINGS_SECONDS):
            settings = read_settings(live).without_galaxy(_parsed(GalaxyName.parse, name, "NAME"))
            write_settings(live, settings)
    if as_json:
        emit({"removed": name, "galaxies": [galaxy_row(galaxy) for galaxy in settings.galaxies]})
        return
    say(f"removed {name}")


@click.command("list-galaxies")
@_root_option
@_json_option
def list_galaxies(root: Path, as_json: bool) -> None:
    """List the galaxies that stars are taken from, in order of priority. None of them is opened."""
    with LiveRoot.open(root) as live:
        demand_system(live)
        galaxies = read_settings(live).galaxies
    if as_json:
        emit({"galaxies": [galaxy_row(galaxy) for galaxy in galaxies]})
        return
    width = max((len(galaxy.name) for galaxy in galaxies), default=0)
    for galaxy in galaxies:
        say(f"{galaxy.name:<{width}}  {galaxy.url}{'  (unsigned stars allowed)' if galaxy.allow_unsigned else ''}")


@click.command()
@_root_option
@_json_option
def status(root: Path, as_json: bool) -> None:
    """Say what this system is: its image, its stars, whom it trusts, where its stars come from."""
    with LiveRoot.open(root) as live:
        found = system_status(live)
    if as_json:
        emit(status_row(found))
        return
    for line in status_lines(found):
        say(line)


@click.command()
@click.argument("star")
@click.option("--receipt", is_flag=True, help="Show what its script read and did in a release, as JSON.")
@click.option("--release", type=_FOLDER, default=".", help="With --receipt: the release, or its image's folder.")
@_root_option
@_offline_option
@_json_option
def show(star: str, receipt: bool, release: Path, root: Path, offline: bool, as_json: bool) -> None:
    """Show one star: as it is installed, and as the galaxies have it."""
    if receipt:
        emit(read_receipt(release, _parsed(StarName.parse, star, "STAR")))
        return
    with LiveRoot.open(root) as live:
        found = show_star(
            live, _parsed(StarName.parse, star, "STAR"), surroundings().reporter(quiet=False), offline=offline
        )
    if as_json:
        emit(shown_row(found))
        return
    for line in shown_lines(found):
        say(line)


@click.command("install")
@click.argument("stars", nargs=-1, metavar="STAR[@CONSTRAINT]...")
@click.option("--constellation", "constellations", type=_FILE, multiple=True, help="Install the members of this file.")
@_offline_option
@click.option("--dry-run", is_flag=True, help="Fetch, verify and stage, look for conflicts, and lay nothing.")
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, whatever [policy] says.")
@_root_option
@_json_option
def install_command(
    stars: tuple[str, ...],
    constellations: tuple[Path, ...],
    offline: bool,
    dry_run: bool,
    safe: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Install stars and what they depend on. What is installed already stays as it is.

    Without a star: put back what an installation that was cut off has left.
    """
    around = surroundings()
    wishes = [*_star_wishes(stars), *(member for file in constellations for member in _members(file))]
    reporter = around.reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        if not wishes:
            if constellations or standing(live) == "idle":
                raise click.UsageError("name a STAR, or a --constellation that has members")
            _answer_recovered(recover(live), as_json)
            return
        order = Order(wishes=wishes, offline=offline, epoch=int(around.now()), safe=safe)
        done = rehearse(live, order, reporter) if dry_run else install(live, order, reporter)
    if done.unowned:
        around.terminal.warn(f"{done.unowned} owners and capabilities were not set: only root can")
    if as_json:
        emit(installation_row(done, dry_run=dry_run))
        return
    for line in installation_lines(done, dry_run=dry_run):
        say(line)


def verify(root: Path, as_json: bool) -> None:
    """Compare the system at `root` with its universe; fail naming what differs: `cosmos verify` without a release."""
    with LiveRoot.open(root) as live:
        verdict = verify_live(live, surroundings().reporter(quiet=as_json))
    if as_json:
        emit(verdict_row(verdict))
    error = verdict.error()
    if error is not None:
        raise error
    if not as_json:
        say(good_line(verdict))


def freeze(root: Path, offline: bool, as_json: bool) -> None:
    """Write the lock of what is installed on the system at `root`: `cosmos freeze` without an image."""
    with LiveRoot.open(root) as live:
        frozen = freeze_system(live, surroundings().reporter(quiet=as_json), offline=offline)
    stars = len(frozen.lock.stars)
    if as_json:
        emit({"lock": shown(frozen.path), "stars": stars, "changed": frozen.changed})
        return
    say(f"{shown(frozen.path)}: {'written' if frozen.changed else 'unchanged'}, {stars} stars")


COMMANDS = (init, add_galaxy, remove_galaxy, list_galaxies, install_command, status, show)


def _star_wishes(texts: tuple[str, ...]) -> list[Wish]:
    wishes = []
    for text in texts:
        name, limit = _parsed(wish, text, "STAR")
        wishes.append(Wish(who="user", name=name, constraint=limit))
    return wishes


def _members(file: Path) -> list[Wish]:
    with file.open("rb") as stream:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    constellation = Constellation.parse(data, str(file))
    who = f"constellation:{constellation.name}"
    return [Wish(who=who, name=name, constraint=limit) for name, limit in constellation.members.items()]


def _answer_recovered(undone: Undone | None, as_json: bool) -> None:
    removed = 0 if undone is None else undone.removed
    kept = () if undone is None else undone.kept
    if as_json:
        emit({"removed": removed, "left": [shown(path) for path in kept]})
        return
    say(f"put back: {removed} files of the installation that was cut off were removed")
    for path in kept:
        say(f"left {shown(path)}: it is not what that installation put there")


def _parsed(parse: Callable[[str], Named], text: str, argument: str) -> Named:
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(f"{argument}: {error}") from error


def _root_text(root: Path) -> str:
    return "" if root == Path("/") else f" --root {root}"
