"""Ask on a terminal before a system is changed. Without a terminal, nothing is asked, and the command goes on."""

from __future__ import annotations

import sys

import click

from cosmos.cli.terminal import Surroundings
from cosmos.errors import Malformed

yes_option = click.option("--yes", "-y", "is_agreed", is_flag=True, help="Do not ask on a terminal.")


def demand_agreement(around: Surroundings, question: str, *, is_agreed: bool) -> None:
    """Ask `question`, unless the person agreed before. Raises `Abort` (exit 130) at any answer but yes, and says so.

    Raises `Malformed` if stderr goes elsewhere: the person would wait for a question that they cannot see.
    """
    if is_agreed or not around.stdin_is_terminal:
        return
    if not around.terminal.is_terminal:
        problem = f"is no terminal, and nobody would see the question: {question}"
        raise Malformed("stderr", problem, hint="agree before: --yes; or leave stderr on the terminal")
    around.terminal.prompt(f"{question} [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        around.terminal.note("nothing was changed")
        raise click.Abort
