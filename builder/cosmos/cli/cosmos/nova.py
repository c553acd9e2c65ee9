"""`cosmos nova`: try a script, or verbs one line at a time, on a scratch root."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import ScriptFailed
from cosmos.stellar.try_script import Bench, Tried

_PROMPT = "nova> "


@click.command("nova")
@click.argument("file", type=EXISTING_FILE, required=False)
@click.option(
    "--root",
    type=EXISTING_FOLDER,
    help="Begin with a copy of this folder [default: an empty root].",
)
@json_option
def nova(file: Path | None, root: Path | None, as_json: bool) -> None:
    """Run a Nova script on a scratch root and show what it made, and its receipt. Nothing else is changed.

    What it copies is looked up in its own folder. Without FILE: a line of verbs at a time, such as
    write("/etc/motd", "hello"), each on the root that the last one left.
    """
    bench = Bench.of(file.parent if file is not None else None, root)
    if file is not None:
        _tell(bench.run_file(file), as_json=as_json)
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
                _tell(bench.run_line(line.strip()), as_json=as_json)
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
