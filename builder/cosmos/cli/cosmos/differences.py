"""With --json, a command that found differences still answers: one object on stdout, beside the error and exit 7."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from cosmos.canon import Json
from cosmos.cli.terminal import emit
from cosmos.errors import Differs

_Words = ParamSpec("_Words")
_Answer = TypeVar("_Answer")


def differences_in_json(
    row: Mapping[str, Json], *, of: str
) -> Callable[[Callable[_Words, _Answer]], Callable[_Words, _Answer]]:
    """Make a command with `--json` print `row` and the differences where it raises `Differs`, before it fails.

    Only where its argument `of` was given: without it, it is of the running system, and answers by itself.
    """

    def decorated(command: Callable[_Words, _Answer]) -> Callable[_Words, _Answer]:
        @functools.wraps(command)
        def answering(*words: _Words.args, **options: _Words.kwargs) -> _Answer:
            try:
                return command(*words, **options)
            except Differs as error:
                if options.get("as_json") and options.get(of) is not None:
                    emit({**row, "differences": list(error.differences)})
                raise

        return answering

    return decorated
