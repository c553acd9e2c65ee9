"""A reporter that records its calls."""

from __future__ import annotations


class Remembering:
    """The messages, by kind."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.items: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def progress(self, what: str, done: int, total: int, unit: str = "things") -> None:
        pass

    def item(self, text: str) -> None:
        self.items.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
