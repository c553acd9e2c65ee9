"""`cosmos nova`: try a script, or verbs one line at a time, on a scratch root."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import ScriptFailed
from cosmos.stellar.try_script import ScriptSession, Tried

_PROMPT = "nova> "


@click.command("nova")
@click.argument("file", type=EXISTING_FILE, required=False)
@click.option(
    "--root",
    type=EXISTING_FOLDER,
    help="Start with a copy of this folder [default: an empty root].",
)
@json_option
def nova(file: Path | None, root: Path | None, as_json: bool) -> None:
    """Run a Nova script on a scratch root, and show its changes and its receipt. Nothing else is changed.

    The script copies from its own folder. Without FILE, it reads lines of verbs, such as write("/etc/motd", "hello").
    Each line works on the root that the lines before it left.
    """
    session = ScriptSession.of(file.parent if file is not None else None, root)
    if file is not None:
        _tell(session.run_file(file), as_json=as_json)
        return
    around = surroundings()
    while True:
        if around.stdin_is_terminal:
            around.terminal.prompt(_PROMPT)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            try:
                _tell(session.run_line(line.strip()), as_json=as_json)
            except ScriptFailed as failure:
                if not around.stdin_is_terminal:
                    raise
                around.terminal.error(str(failure))
                if failure.hint:
                    around.terminal.hint(failure.hint)


def _tell(tried: Tried, *, as_json: bool) -> None:
    if as_json:
        emit({"made": [*tried.made], "receipt": tried.receipt})
        return
    for line in tried.made:
        say(line)
    emit(tried.receipt)
