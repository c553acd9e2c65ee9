"""`stellar trust …`: the group of its commands."""

from __future__ import annotations

import click

from cosmos.cli.stellar.trust.new import trust_new
from cosmos.cli.stellar.trust.revoke import revoke
from cosmos.cli.stellar.trust.rotate import rotate
from cosmos.cli.stellar.trust.sign import sign


@click.group()
def trust() -> None:
    """Write the documents that say whom to trust."""


for _command in (trust_new, rotate, revoke, sign):
    trust.add_command(_command)
