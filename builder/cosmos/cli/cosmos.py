"""`cosmos`: builds images, and looks after the system that it runs on.

The frozen binary answers to `stellar` as well: by its name, and as `cosmos stellar …`.

Commands are imported when they are asked for: `cosmos --version` needs none, and Ctrl-C while they load is answered
by `run`, as at any other time. The table's functions import by statement, so that whoever reads the imports (mypy, the
check of the floors, the single-file binary) sees them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Final, NoReturn, TypeAlias

import click

from cosmos.about import VERSION
from cosmos.cli.terminal import run

_HELP = """Build offline system images from signed packages, and look after the systems made of them.

Building: new, freeze, build, verify, attest, ls, cat, boot, nova, attach-signature.
On a system: init, sync, install, status, verify, show, freeze. Trust: key, trust.
Exit codes: 0 done, 2 malformed, 3 no solution, 4 refused, 5 the world failed, 6 a script failed, 7 differs.
"""

_Commands: TypeAlias = tuple[click.Command, ...]


def _building() -> _Commands:
    from cosmos.cli import building

    return building.COMMANDS


def _device() -> _Commands:
    from cosmos.cli import device

    return device.COMMANDS


def _trusting() -> _Commands:
    from cosmos.cli import trusting

    return trusting.COMMANDS


def _nova() -> _Commands:
    from cosmos.cli import nova

    return nova.COMMANDS


def _releasing() -> _Commands:
    from cosmos.cli.releasing import attach

    return (attach,)


def _syncing() -> _Commands:
    from cosmos.cli.syncing import sync

    return (sync,)


def _attesting() -> _Commands:
    from cosmos.cli.attesting import attest

    return (attest,)


def _stellar() -> _Commands:
    from cosmos.cli.stellar import stellar

    return (stellar,)


_ROOMS: Final[Mapping[Callable[[], _Commands], str]] = {
    _building: "new freeze build verify ls cat boot",
    _device: "init add-galaxy remove-galaxy list-galaxies install status show",
    _trusting: "key trust",
    _nova: "nova",
    _releasing: "attach-signature",
    _syncing: "sync",
    _attesting: "attest",
    _stellar: "stellar",
}
_WHERE: Final = {name: room for room, names in _ROOMS.items() for name in names.split()}


class Rooms(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(_WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return the command of that name; None where there is none."""
        room = _WHERE.get(cmd_name)
        return next((one for one in room() if one.name == cmd_name), None) if room else None


@click.group(cls=Rooms, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def program() -> None:
    """Hold the commands."""


def main() -> NoReturn:
    """Run the program that was called: `cosmos`, or `stellar` where the file bears that name."""
    if PurePath(sys.argv[0]).name.startswith("stellar"):
        run(_stellar()[0], "stellar", sys.argv[1:])
    run(program, "cosmos", sys.argv[1:])
