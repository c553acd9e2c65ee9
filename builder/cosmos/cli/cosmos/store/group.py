"""`cosmos store …`: the group of its commands."""

from __future__ import annotations

import click

from cosmos.cli.cosmos.store.check import store_check
from cosmos.cli.cosmos.store.gc import store_gc
from cosmos.cli.cosmos.store.stat import store_stat


@click.group()
def store() -> None:
    """Look after the builder's store: its size, and whether it is whole."""


for _command in (store_gc, store_check, store_stat):
    store.add_command(_command)
