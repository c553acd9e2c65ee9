"""What is new in a release against another: the words of a comparison, for the page."""

from __future__ import annotations

from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a table of changes. `what` has one text a line."""

    name: str
    place: str
    what: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything in which two releases differ, worded. `against` is the older one's name and version.

    `stars` have the star, its versions and its licences. `rights` are paths that do more than before. `layers` are what
    a system fetches. `paths` are the first of `all_paths` paths that differ; `others` are what else differs.
    """

    against: str
    summary: str
    stars: tuple[Row, ...] = ()
    rights: tuple[Row, ...] = ()
    layers: tuple[Row, ...] = ()
    paths: tuple[Row, ...] = ()
    all_paths: int = 0
    others: tuple[Row, ...] = ()
    bytes_before: int = 0
    bytes_after: int = 0
