"""Functions that several commands use for their arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Named = TypeVar("Named")


def parsed(parse: Callable[[str], Named], text: str, argument: str) -> Named:
    """Return `text` as a value; raises `UsageError` with the argument's name if `parse` refuses it."""
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(f"{argument}: {error}") from error


def root_text(root: Path) -> str:
    """Return the option `--root` for a command in a hint; an empty text for the running system."""
    return "" if root == Path("/") else f" --root {root}"
