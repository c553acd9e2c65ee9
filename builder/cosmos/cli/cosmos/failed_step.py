"""`cosmos build --shell`: a shell in the sandbox of the script that failed, for the person at the terminal."""

from __future__ import annotations

import shlex
import sys

from cosmos.cli.terminal import surroundings
from cosmos.errors import CosmosError, ScriptFailed
from cosmos.nova.job import Stopped
from cosmos.sandbox.attended import Person, shell_in
from cosmos.sandbox.bubble import Bubble


def open_shell(stopped: Stopped, programs: Bubble) -> None:
    """Say what failed, and open a shell there. Nothing that happens in the shell is kept.

    If no shell can be opened, a warning says why. The caller raises the script's own error afterwards.
    """
    around = surroundings()
    terminal = around.terminal
    terminal.clear()
    terminal.tell(f"{stopped.problem}")
    if stopped.command:
        terminal.tell(f"  command: {shlex.join(stopped.command)}")
    if stopped.problem.hint:
        terminal.tell(f"  {stopped.problem.hint}")
    try:
        words = shell_in(programs.tools.tree(), stopped.tree)
        if words is None:
            raise _no_shell(programs.where)
        terminal.tell(f"a shell where {programs.where} stopped: /stage is its tree, / are its dependencies' files")
        terminal.tell("no network; all changes are lost; `exit` ends the shell, and the build fails as it would have")
        person = Person(reads=sys.stdin.fileno(), writes=sys.stderr.fileno(), kind=around.environ.get("TERM") or "dumb")
        programs.attend(words, stopped.env, stopped.tree, person)
    except CosmosError as error:
        terminal.warn(f"no shell was opened: {error}")
        if error.hint:
            terminal.hint(error.hint)


def _no_shell(star: str) -> CosmosError:
    return ScriptFailed(
        star,
        "there is no bash, sh or busybox in its tree and its dependencies",
        hint='add one for the time being, under [dependencies] in its star.toml: busybox = "*"',
    )
