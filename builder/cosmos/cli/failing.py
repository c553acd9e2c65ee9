"""How a command failed, for a person and for a program: with `--json`, stdout has one object also then.

    {"error": {"exit": 3, "family": "no-solution", "hint": "cosmos status", "star": "nano", "what": "is not installed",
               "where": "nano"}}

If the command has an answer as well, for example the differences that it found, `error` is one more key of this answer.
So a program reads stdout once, and looks for `error`. (An answer that is a list stays as it is.) The lines on stderr
are the same with and without `--json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cosmos.canon import Json
from cosmos.cli.terminal import write_json
from cosmos.errors import CosmosError, Differs
from cosmos.model.names import StarName
from cosmos.records import dataclass

_FAMILIES: Final = {
    2: "malformed",
    3: "no-solution",
    4: "refused",
    5: "world-failed",
    6: "script-failed",
    7: "differs",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command ended: the exit code and its family, what is wrong with what, and what to do about it."""

    exit_code: int
    family: str
    what: str
    where: str = ""
    hint: str | None = None
    star: str | None = None
    differences: tuple[str, ...] | None = None
    also: tuple[Failure, ...] = ()

    @property
    def text(self) -> str:
        """The line for a person."""
        return f"{self.where}: {self.what}" if self.where else self.what

    def row(self) -> dict[str, Json]:
        """Return the object for a program."""
        row: dict[str, Json] = {
            "exit": self.exit_code,
            "family": self.family,
            "what": self.what,
            "where": self.where or None,
            "hint": self.hint,
            "star": self.star,
        }
        if self.differences is not None:
            row["differences"] = [*self.differences]
        if self.also:
            row["also"] = [one.row() for one in self.also]
        return row


def failure_of(error: CosmosError) -> Failure:
    """Return an error as the failure of the command."""
    return Failure(
        error.exit_code,
        _FAMILIES.get(error.exit_code, "bug"),
        error.problem,
        error.where,
        hint=error.hint or _line_hint(error),
        star=error.star or (str(error.where) if isinstance(error.where, StarName) else None),
        differences=error.differences if isinstance(error, Differs) else None,
        also=tuple(map(failure_of, error.also)),
    )


def _line_hint(error: CosmosError) -> str | None:
    from cosmos.cli.toml_lines import line_hint

    return line_hint(error)


def asks_for_json(words: Sequence[str]) -> bool:
    """Return whether the command line asks for JSON, also if the rest of it is wrong.

    >>> asks_for_json(["ls", "image", "--json"]), asks_for_json(["ls", "image", "--", "--json"])
    (True, False)
    """
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def answer_held(held: list[Json] | None, failure: Failure | None = None) -> None:
    """Write the answers that were `held`, the last with `failure`; without an answer, the failure alone."""
    if held is None:
        return
    *before, last = held or [None if failure is None else {}]
    held.clear()
    if failure is not None and isinstance(last, dict):
        last = {**last, "error": failure.row()}
    for one in before:
        write_json(one)
    if last is not None:
        write_json(last)
