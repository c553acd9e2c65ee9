"""`cosmos trust …`: the group of its commands."""

from __future__ import annotations

import click

from cosmos.cli.cosmos.trust.init import trust_init
from cosmos.cli.cosmos.trust.show import trust_show
from cosmos.cli.cosmos.trust.update import trust_update


@click.group()
def trust() -> None:
    """Say whose signatures this machine believes."""


for _command in (trust_init, trust_show, trust_update):
    trust.add_command(_command)
