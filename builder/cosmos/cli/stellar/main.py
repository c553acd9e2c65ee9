"""`stellar`: the maintainer's program. It makes, checks, signs and indexes stars and galaxies."""

from __future__ import annotations

from typing import NoReturn

import click

from cosmos.about import VERSION
from cosmos.cli.completion import completion
from cosmos.cli.endings import run
from cosmos.cli.manual import manual
from cosmos.cli.stellar.attest import attest
from cosmos.cli.stellar.build_star import build
from cosmos.cli.stellar.fetch import fetch
from cosmos.cli.stellar.galaxy_init import galaxy_init
from cosmos.cli.stellar.import_deb import import_deb
from cosmos.cli.stellar.index_galaxy import index
from cosmos.cli.stellar.lint import lint
from cosmos.cli.stellar.log.group import log
from cosmos.cli.stellar.new_star import new
from cosmos.cli.stellar.scripts import scripts
from cosmos.cli.stellar.show import show
from cosmos.cli.stellar.sign import sign
from cosmos.cli.stellar.test import test
from cosmos.cli.stellar.trust.group import trust
from cosmos.cli.stellar.validate import validate

_HELP = """Make, check, sign and index stars and galaxies.

Stars: new-star, fetch, build-star, scripts, validate, show, lint, test, import-deb, attest.
Galaxies: galaxy-init, index-galaxy, sign, log.
Keys: trust new. For the shell: completion.
Exit codes: 0 done, 2 malformed, 3 no solution, 4 refused, 5 the world failed, 6 a script failed.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def stellar() -> None:
    """Hold the commands."""


_COMMANDS = (
    new,
    build,
    scripts,
    validate,
    show,
    test,
    lint,
    fetch,
    import_deb,
    galaxy_init,
    index,
    sign,
    log,
    attest,
    trust,
    completion,
    manual,
)
for _command in _COMMANDS:
    stellar.add_command(_command)


def main() -> NoReturn:
    """Run the program."""
    run(stellar, "stellar")
