"""`stellar`: the maintainer's program. It makes, checks, signs and indexes stars and galaxies."""

from __future__ import annotations

from typing import NoReturn

import click

from cosmos.about import VERSION
from cosmos.cli import (
    stellar_badges,
    stellar_fetch,
    stellar_galaxies,
    stellar_import,
    stellar_logs,
    stellar_stars,
    stellar_trust,
    stellar_trying,
)
from cosmos.cli.terminal import run
from cosmos.cli.trusting import trust_new

_HELP = """Make, check, sign and index stars and galaxies.

Stars: new-star, fetch, build-star, scripts, validate, lint, test, import-deb, attest.
Galaxies: galaxy-init, index-galaxy, sign, log.
Keys: trust new.
Exit codes: 0 done, 2 malformed, 3 no solution, 4 refused, 5 the world failed, 6 a script failed.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def stellar() -> None:
    """Hold the commands."""


@stellar.group("trust")
def trust() -> None:
    """Write the documents that say whom to trust."""


for _command in (trust_new, *stellar_trust.COMMANDS):
    trust.add_command(_command)
_ROOMS = (stellar_stars, stellar_trying, stellar_fetch, stellar_import, stellar_galaxies, stellar_logs, stellar_badges)
for _command in (one for room in _ROOMS for one in room.COMMANDS):
    stellar.add_command(_command)


def main() -> NoReturn:
    """Run the program."""
    run(stellar, "stellar")
