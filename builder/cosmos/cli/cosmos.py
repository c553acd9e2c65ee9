"""`cosmos`: builds images, and looks after the system that it runs on.

The frozen binary answers to `stellar` as well: by its name, and as `cosmos stellar …`.
"""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import NoReturn

import click

from cosmos.about import VERSION
from cosmos.cli import attesting, building, device, releasing, syncing, trusting
from cosmos.cli.stellar import stellar
from cosmos.cli.terminal import run

_HELP = """Build offline system images from signed packages, and look after the systems made of them.

Building: new, freeze, build, verify, attest, ls, cat, boot, attach-signature.
On a system: init, sync, install, status, verify, show, freeze. Trust: key, trust.
Exit codes: 0 done, 2 malformed, 3 no solution, 4 refused, 5 the world failed, 6 a script failed, 7 differs.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def program() -> None:
    """Hold the commands."""


_SINGLE = (attesting.attest, releasing.attach, syncing.sync)
for _command in (*building.COMMANDS, *device.COMMANDS, *trusting.COMMANDS, *_SINGLE):
    program.add_command(_command)
program.add_command(stellar, "stellar")


def main() -> NoReturn:
    """Run the program that was called: `cosmos`, or `stellar` where the file bears that name."""
    if PurePath(sys.argv[0]).name.startswith("stellar"):
        run(stellar, "stellar", sys.argv[1:])
    run(program, "cosmos", sys.argv[1:])
