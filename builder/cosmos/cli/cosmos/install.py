"""`cosmos install`: install stars and their dependencies on a system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.completing import known_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.asking import demand_agreement, yes_option
from cosmos.cli.cosmos.look_words import look_lines, look_row
from cosmos.cli.cosmos.options import offline_option, root_option, wait_option
from cosmos.cli.cosmos.rows import counted
from cosmos.cli.network import network
from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, in_one_line, say, surroundings
from cosmos.device.install import Installation, InstallRequest, install, recover, rehearse
from cosmos.device.journal import standing
from cosmos.device.locked import LockToInstall
from cosmos.device.look import Look
from cosmos.device.recovery import Undone
from cosmos.device.root import LiveRoot, shown
from cosmos.errors import ScriptFailed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_LOCK_BYTES
from cosmos.model.constellation import Constellation, wish
from cosmos.model.journal import change_words
from cosmos.model.lock import Lock
from cosmos.model.reporter import Reporter
from cosmos.reading import read_bounded, read_up_to
from cosmos.resolve.resolving import Wish
from cosmos.staging.vendored import read_vendored


@click.command("install")
@click.argument("stars", nargs=-1, metavar="STAR[@CONSTRAINT]...", shell_complete=known_stars)
@click.option(
    "--constellation", "constellations", type=EXISTING_FILE, multiple=True, help="Install the members of this file."
)
@click.option(
    "--locked", type=EXISTING_FILE, metavar="LOCK", help="Install exactly the stars of this lock, without a STAR."
)
@click.option("--from", "origin", type=EXISTING_FOLDER, help="With --locked: take the bytes from this vendored folder.")
@offline_option
@click.option("--dry-run", is_flag=True, help="Fetch, verify and stage, find conflicts, and change nothing.")
@yes_option
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, even if [policy] allows it.")
@wait_option
@root_option
@reporting_options
@json_option
def install_command(
    stars: tuple[str, ...],
    constellations: tuple[Path, ...],
    locked: Path | None,
    origin: Path | None,
    offline: bool,
    dry_run: bool,
    is_agreed: bool,
    safe: bool,
    wait_seconds: float,
    root: Path,
    as_json: bool,
) -> None:
    """Install stars and their dependencies. Installed stars stay as they are.

    Shows what each star brings before anything is installed. On a terminal it asks, unless --yes is given. Without a
    star: clear up after a change that was cut off.
    """
    around = surroundings()
    reporter = around.reporter(quiet=as_json)
    wishes = [*_star_wishes(stars), *(member for file in constellations for member in _members(file, reporter))]
    wanted = _lock_to_install(locked, origin, has_wishes=bool(stars or constellations))
    with LiveRoot.open(root) as live:
        if not wishes and wanted is None:
            if constellations or standing(live) == "idle":
                raise click.UsageError("name a STAR, or a --constellation that has members")
            _answer_recovered(recover(live, wait_seconds), as_json)
            return
        request = InstallRequest(
            wishes=wishes,
            offline=offline,
            epoch=int(around.now()),
            safe=safe,
            locked=wanted,
            wait_seconds=wait_seconds,
            network=network(),
        )
        viewer = _Viewer(dry_run=dry_run, is_agreed=is_agreed, as_json=as_json)
        with viewer.answering_refusals():
            done = (rehearse if dry_run else install)(live, request, reporter, viewer)
    if done.unowned:
        around.terminal.warn(f"{done.unowned} owners and capabilities were not set: only root can set them")
    _answer_installed(done, viewer, dry_run=dry_run, as_json=as_json)


def _answer_installed(done: Installation, viewer: _Viewer, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        emit({**_installation_row(done, dry_run=dry_run), **look_row(viewer.seen)})
        return
    for line in _installation_lines(done, dry_run=dry_run):
        say(line)


def _lock_to_install(file: Path | None, origin: Path | None, *, has_wishes: bool) -> LockToInstall | None:
    if file is None:
        if origin is not None:
            raise click.UsageError(
                "--from belongs to --locked: cosmos sync GALAXY --from brings a galaxy's newest state"
            )
        return None
    if has_wishes:
        raise click.UsageError("--locked installs the stars of the lock: name no STAR and no --constellation besides")
    if origin is not None:
        read_vendored(origin)
    return LockToInstall(lock=Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file)), file=file, origin=origin)


class _Viewer:
    """Shows the stars before they are installed, and asks on a terminal. `seen` is what was shown."""

    def __init__(self, *, dry_run: bool, is_agreed: bool, as_json: bool) -> None:
        self._dry_run = dry_run
        self._is_agreed = is_agreed or dry_run or as_json  # a program that reads JSON is not asked
        self._as_json = as_json
        self.seen = Look(stars=())

    def __call__(self, look: Look) -> None:
        """Show `look`: of a dry run as its answer, otherwise beside it. Raises `click.Abort` if the person says no."""
        self.seen = look
        if not self._as_json:
            around = surroundings()
            asks = around.stdin_is_terminal and not self._is_agreed
            tell = say if self._dry_run else around.terminal.tell if asks else around.terminal.note
            for line in look_lines(look, "would install" if self._dry_run else "to install"):
                tell(in_one_line(line))
        if look.stars and not look.refused:
            question = f"install {counted(len(look.stars), 'star')}?"
            demand_agreement(surroundings(), question, is_agreed=self._is_agreed)

    @contextmanager
    def answering_refusals(self) -> Iterator[None]:
        """Answer as JSON as well if the policy refuses something of the stars. Raises `ScriptFailed`."""
        try:
            yield
        except ScriptFailed:
            if self._as_json and self.seen.refused:
                kept: list[Json] = [str(name) for name in self.seen.kept]
                emit({"dry-run": self._dry_run, "installed": [], "kept": kept, **look_row(self.seen)})
            raise


def _star_wishes(texts: tuple[str, ...]) -> list[Wish]:
    wishes = []
    for text in texts:
        name, limit = parsed(wish, text, "STAR")
        wishes.append(Wish(who="user", name=name, constraint=limit))
    return wishes


def _members(file: Path, reporter: Reporter) -> list[Wish]:
    constellation = Constellation.parse(read_up_to(file, MAX_DOCUMENT_BYTES), str(file))
    for key in constellation.warnings:
        reporter.warn(f"{file}: unknown key {key}")
    who = f"constellation:{constellation.name}"
    return [Wish(who=who, name=name, constraint=limit) for name, limit in constellation.members.items()]


def _answer_recovered(undone: Undone | None, as_json: bool) -> None:
    removed = 0 if undone is None else undone.removed
    kept = () if undone is None else undone.kept
    if as_json:
        command = None if undone is None else undone.command or None
        emit({"removed": removed, "left": [shown(path) for path in kept], "command": command})
        return
    if undone is not None and undone.took_place:
        say(f"finished: {change_words(undone.command)} was cut off, and is complete now")
    else:
        words = change_words("" if undone is None else undone.command)
        restored = f", {undone.restored} are as before" if undone is not None and undone.restored else ""
        say(f"put back: {words} was cut off; {removed} of its files were removed{restored}")
    for path in kept:
        say(f"left {shown(path)}: it is not what cosmos put there")


def _installation_row(done: Installation, *, dry_run: bool) -> dict[str, Json]:
    """Return the row of the installed stars, or of those that would be installed."""
    return {
        "dry-run": dry_run,
        "installed": [
            {
                "name": str(chosen.star.name),
                "version": str(chosen.star.version),
                "galaxy": str(chosen.star.galaxy),
                "archive": str(chosen.star.archive),
                "signers": list(chosen.star.signers),
                "wanted-by": list(chosen.star.wanted_by),
                "files": [shown(path) for path in done.records[chosen.star.name].files],
            }
            for chosen in done.stars
        ],
        "kept": [str(name) for name in done.kept],
        "kept-paths": [{"path": shown(one.path), "star": str(one.star), "why": one.why} for one in done.kept_paths],
        "new-beside": [shown(path) for path in done.beside],
    }


def _installation_lines(done: Installation, *, dry_run: bool) -> Iterator[str]:
    """Yield a line for each installed star. A dry run has shown its stars before."""
    for chosen in () if dry_run else done.stars:
        star = chosen.star
        files = counted(len(done.records[star.name].files), "file")
        yield f"installed {star.name} {star.version} from {star.galaxy}: {files}, for {', '.join(star.wanted_by)}"
    for name in done.kept:
        yield f"kept {name}: it is installed already"
    for path in done.kept_paths:
        yield f"{'would keep' if dry_run else 'kept'} {path}"
