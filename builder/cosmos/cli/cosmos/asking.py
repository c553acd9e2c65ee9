"""Ask a person on a terminal before a command changes the system. `--yes` skips the question.

Without a terminal nobody can answer, so the command goes on as if it had been told `--yes`: scripts and cron jobs work
without the option. `--json` is for programs, so nobody is asked either.
"""

from __future__ import annotations

import sys

import click

from cosmos.cli.terminal import surroundings

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask before the change.")
_YES = ("y", "yes")


def demand_yes(question: str, *, yes: bool, as_json: bool = False) -> None:
    """Return if the person at the terminal agrees, or if nobody is to be asked. Otherwise raise `click.Abort` (130).

    An empty answer, the end of the input and every other word mean no. Call it before anything has changed, or where an
    exception undoes everything.
    """
    around = surroundings()
    if yes or as_json or not around.stdin_is_terminal:
        return
    around.terminal.prompt(f"{question} [y/N] ")
    answer = sys.stdin.readline(100)
    if not answer.endswith("\n"):
        around.terminal.note("")  # the end of the input: what follows begins on a line of its own
    if answer.strip().lower() not in _YES:
        around.terminal.note("nothing was changed")
        raise click.Abort
