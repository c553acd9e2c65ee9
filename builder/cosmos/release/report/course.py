"""How one build went: its steps, and which layers it made and why. It is no fact of a release, whose page lacks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cosmos.model.lock import Lock


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A step of a build: its words, when it began, and how long it took, in seconds."""

    what: str
    began: float
    took: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerOrigin:
    """A star of the lock, and where its layer came from. `why` says why it was made, "" if it was reused."""

    star: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """A build that changed nothing has no spans: it did not look at any layer."""

    spans: tuple[Span, ...]
    layers: tuple[LayerOrigin, ...]
    seconds: float

    @property
    def made(self) -> int:
        """How many layers the build made."""
        return sum(bool(layer.why) for layer in self.layers)


def course_of(steps: Sequence[tuple[str, float]], ended: float, made: Mapping[str, str], lock: Lock) -> Course:
    """Return the course of a build. `steps` are words and the time at which each began, `made` stars with the reason.

    The layers that were made come first, each in the order of the lock.
    """
    begin = steps[0][1] if steps else ended
    ends = [began for _, began in steps[1:]] + [ended]
    layers = [LayerOrigin(star=str(star.name), why=made.get(str(star.name), "")) for star in lock.stars]
    return Course(
        spans=tuple(
            Span(what=what, began=began - begin, took=end - began)
            for (what, began), end in zip(steps, ends, strict=False)
        ),
        layers=tuple(sorted(layers, key=lambda layer: not layer.why)) if steps else (),
        seconds=ended - begin,
    )
