"""`cosmos key …`: the group of its commands."""

from __future__ import annotations

import click

from cosmos.cli.cosmos.key.new import key_new
from cosmos.cli.cosmos.key.show import key_show
from cosmos.cli.cosmos.key.sign_request import sign_request


@click.group()
def key() -> None:
    """Make keys and look at them."""


for _command in (key_new, key_show, sign_request):
    key.add_command(_command)
