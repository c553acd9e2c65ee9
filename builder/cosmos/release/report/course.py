"""How one build went: its steps, and which layers it made and why. It is no fact of a release, whose page lacks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cosmos.model.lock import Lock
from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A step of a build: its words, when it began, and how long it took, in seconds."""

    what: str
    began: float
    took: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """`made` are stars whose layer the build made, with the reason; `reused` those whose layer the store had.

    A build that changed nothing has no spans: it did not look at any layer.
    """

    spans: tuple[Span, ...]
    made: Mapping[str, str]
    reused: tuple[str, ...]
    seconds: float


def course_of(steps: Sequence[tuple[str, float]], ended: float, made: Mapping[str, str], lock: Lock) -> Course:
    """Return the course of a build. `steps` are the words of each, and the time at which it began."""
    begin = steps[0][1] if steps else ended
    ends = [began for _, began in steps[1:]] + [ended]
    return Course(
        spans=tuple(
            Span(what=what, began=began - begin, took=end - began)
            for (what, began), end in zip(steps, ends, strict=False)
        ),
        made=made,
        reused=tuple(str(star.name) for star in lock.stars if str(star.name) not in made),
        seconds=ended - begin,
    )
