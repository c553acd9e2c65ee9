"""`LazyGroup`: a group of commands, each of which is imported only when it is called: `--version` imports none.

The functions of the table use import statements, so that mypy, the check of the floors, and the build of the binary see
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import click

Loaders: TypeAlias = Mapping[str, Callable[[], click.Command]]


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called. `loaders` has a function for each of them."""

    loaders: Loaders = MappingProxyType({})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(self.loaders)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return the command of that name; None if there is no such command."""
        load = self.loaders.get(cmd_name)
        return load() if load else None
