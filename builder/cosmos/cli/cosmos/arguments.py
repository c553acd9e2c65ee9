"""What several commands do with their arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Named = TypeVar("Named")


def parsed(parse: Callable[[str], Named], text: str, argument: str) -> Named:
    """Return `text` as a value; raises `UsageError`, naming the argument, where `parse` refuses it."""
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(f"{argument}: {error}") from error


def root_text(root: Path) -> str:
    """Return the option `--root` of a command to type next; nothing for the running system."""
    return "" if root == Path("/") else f" --root {root}"
