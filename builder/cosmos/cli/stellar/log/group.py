"""`stellar log …`: the group of its commands."""

from __future__ import annotations

import click

from cosmos.cli.stellar.log.append import append
from cosmos.cli.stellar.log.check import check
from cosmos.cli.stellar.log.cosign import cosign


@click.group("log")
def log() -> None:
    """Keep and check the transparency log of a galaxy: what it ever published, in order."""


for _command in (append, check, cosign):
    log.add_command(_command)
