"""The options that take public keys for a role: a file that states another role is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from cosmos.cli.options import FILE
from cosmos.stellar.keys import demand_role
from cosmos.trust.roles import Role

Decorator: TypeAlias = Callable[[Any], Any]


def public_keys_option(role: Role, name: str, *, text: str, required: bool = False) -> Decorator:
    """Return the option `--ROLE`, to be given more than once: files of public keys, as the parameter `name`."""

    def checked(_context: click.Context, _option: click.Parameter, given: tuple[Path, ...]) -> tuple[Path, ...]:
        for file in given:
            demand_role(file, role)
        return given

    return click.option(f"--{role}", name, type=FILE, multiple=True, required=required, callback=checked, help=text)


def scoped_keys_option(role: Role, name: str, *, metavar: str, text: str) -> Decorator:
    """Return the option `--ROLE`, to be given more than once: `K.pub[:…]`, as the parameter `name`."""

    def checked(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
        for text in given:
            demand_role(Path(text.partition(":")[0]), role)
        return given

    return click.option(f"--{role}", name, multiple=True, metavar=metavar, callback=checked, help=text)
