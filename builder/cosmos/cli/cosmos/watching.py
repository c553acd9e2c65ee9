"""`--watch`: build again whenever an input changes, with one line a build, until Ctrl-C (exit 130)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import click

from cosmos.cli.endings import tell_failure
from cosmos.cli.terminal import say, surroundings
from cosmos.errors import CosmosError
from cosmos.image.inputs import Inputs, Sight, changed
from cosmos.model.reporter import counted

_LOOK_SECONDS: Final = 0.2  # between two looks; a look at 1,000 files takes some milliseconds
_MOST_SETTLING: Final = 25  # looks at files that go on changing, as a galaxy that is being published; then it builds
_MOST_NAMED: Final = 3  # changed paths in a line


def watch(build: Callable[[], str], inputs: Callable[[], Inputs]) -> NoReturn:
    """Run `build` now, and again whenever one of the `inputs` has changed; say what it returns, and why it ran.

    A build that fails says its error, and the next change is waited for. What changes during a build counts as changed
    after it.
    """
    why = "the first build"
    looked = inputs()
    while True:
        seen = looked.sight()
        _build_once(build, why)
        looked, seen = _also(looked, seen, inputs())
        why = _in_words(_wait(looked, seen))


def _build_once(build: Callable[[], str], why: str) -> None:
    outer = click.get_current_context()
    begun = time.monotonic()
    try:
        with click.Context(outer.command, parent=outer, info_name=outer.info_name):  # closes what the build has opened
            said = build()
    except BrokenPipeError:
        raise
    except (CosmosError, OSError) as error:
        surroundings().terminal.note(f"failed: {why}")
        tell_failure(error, surroundings())
        return
    say(f"{said} in {time.monotonic() - begun:.1f} s: {why}")
    sys.stdout.flush()  # also into a pipe


def _also(before: Inputs, seen: Sight, now: Inputs) -> tuple[Inputs, Sight]:
    """Return the inputs of now, with what was seen before the build; of a path that is new among them, what is now."""
    if now == before:
        return now, seen
    return now, {path: seen.get(path, there) for path, there in now.sight().items()}


def _wait(inputs: Inputs, seen: Sight) -> tuple[Path, ...]:
    """Return the paths that have changed, as soon as two looks in a row show the same."""
    while True:
        time.sleep(_LOOK_SECONDS)
        now = inputs.sight()
        if not changed(seen, now):
            continue
        for _ in range(_MOST_SETTLING):
            time.sleep(_LOOK_SECONDS)
            before, now = now, inputs.sight()
            if not changed(before, now):
                break
        if paths := changed(seen, now):
            return paths


def _in_words(paths: tuple[Path, ...]) -> str:
    named = ", ".join(os.path.normpath(path) for path in paths[:_MOST_NAMED])  # a galaxy may be at ../galaxy
    more = len(paths) - _MOST_NAMED
    return f"{named} and {counted(more, 'other path')} changed" if more > 0 else f"{named} changed"
