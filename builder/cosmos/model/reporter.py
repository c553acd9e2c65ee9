"""`Reporter`: how a long command shows its progress. The command line hands it in; no other room prints."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

Unit: TypeAlias = Literal["things", "bytes"]


class Reporter(Protocol):
    """What a command may say while it works. Nothing of it is data: a command returns its data."""

    def step(self, text: str) -> None:
        """Say that a new step begins: "resolve", "fetch 12 stars"."""

    def progress(self, what: str, done: int, total: int, unit: Unit = "things") -> None:
        """Say how far a step is; `total` is 0 if it is not known. `what` is in work, or was just done."""

    def item(self, text: str) -> None:
        """Say which of several things is in work: "star 7 of 25: nano". On a terminal the next one takes its line."""

    def note(self, text: str) -> None:
        """Say something that the person may want to know."""

    def warn(self, text: str) -> None:
        """Say something that the person should look into."""


class Silent:
    """A reporter that says nothing: for tests and for `--json`."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def progress(self, what: str, done: int, total: int, unit: Unit = "things") -> None:
        """Say nothing."""

    def item(self, text: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and its noun; `many` is the plural, if it is not the noun with an s.

    >>> counted(1, "star"), counted(2, "galaxy", "galaxies")
    ('1 star', '2 galaxies')
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"
