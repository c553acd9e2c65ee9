"""A reporter that remembers what it passed on: a build or a freeze that warned of something is not remembered."""

from __future__ import annotations

from cosmos.canon import Json
from cosmos.cli.terminal import surroundings
from cosmos.model.reporter import Reporter, Unit


class Counting:
    """A reporter that passes everything on, and remembers what it said, and when each step began."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.warnings: list[Json] = []
        self.notes: list[Json] = []
        self.steps: list[tuple[str, float]] = []

    def step(self, text: str) -> None:
        """Pass it on, and remember it."""
        self.steps.append((text, surroundings().now()))
        self._reporter.step(text)

    def progress(self, what: str, done: int, total: int, unit: Unit = "things") -> None:
        """Pass it on."""
        self._reporter.progress(what, done, total, unit)

    def item(self, text: str) -> None:
        """Pass it on."""
        self._reporter.item(text)

    def note(self, text: str) -> None:
        """Pass it on, and remember it."""
        self.notes.append(text)
        self._reporter.note(text)

    def warn(self, text: str) -> None:
        """Pass it on, and remember it."""
        self.warnings.append(text)
        self._reporter.warn(text)
