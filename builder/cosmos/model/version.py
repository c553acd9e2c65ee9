"""SemVer 2.0.0 versions, and the constraints on them in Cargo's grammar.

**Version** (semver.org 2.0.0): `MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`. Precedence is SemVer's (section 11). Build
metadata carries none there; so that a list of versions has one order only, versions of equal precedence are ordered by
their build identifiers, compared as section 11 compares pre-release identifiers, and none comes before any (as Rust's
semver crate does). `1.0.0 != 1.0.0+b1`: they are different stars.

**Constraint** (The Cargo Book, "Specifying Dependencies"): comparators joined by commas, all of which must hold.

    1.36  ^1.36   at least that, and the leftmost non-zero number stays       ^0.2.3: >=0.2.3, <0.3.0
    ~1.2          at least that; with a minor given, the minor stays          ~1: >=1.0.0, <2.0.0
    >=1.2  >1  <2  <=1.2.3  =1.2     partial versions mean the whole range: =1.2 is >=1.2.0, <1.3.0
    1.*  1.2.*  * that range; `*` alone is any version

A pre-release satisfies a constraint only if a comparator names the same MAJOR.MINOR.PATCH with a pre-release. Build
metadata in a constraint: `=1.2.3+b1` demands exactly that build; everywhere else it is ignored.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

_NUMBER = r"0|[1-9][0-9]{0,17}"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?", re.ASCII)
_COMPARATOR = re.compile(
    rf"(\^|~|>=|>|<=|<|=)?\s*({_NUMBER}|[*xX])"
    rf"(?:\.({_NUMBER}|[*xX])(?:\.({_NUMBER}|[*xX])(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?)?)?",
    re.ASCII,
)
_MAX_TEXT = 256

Operator: TypeAlias = Literal["^", "~", ">=", ">", "<=", "<", "=", "*"]
_OPERATORS: dict[str, Operator] = {"^": "^", "~": "~", ">=": ">=", ">": ">", "<=": "<=", "<": "<", "=": "="}
_Release: TypeAlias = tuple[int, int, int]


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    >>> Version.parse("1.0.0-alpha.1") < Version.parse("1.0.0-alpha.beta") < Version.parse("1.0.0")
    True
    """

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a version, or raise `ValueError`."""
        match = _VERSION.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            raise ValueError(f"want MAJOR.MINOR.PATCH (SemVer 2.0.0), got {text[:80]!r}")
        pre = tuple(match[4].split(".")) if match[4] else ()
        for part in pre:
            if part.isdigit() and len(part) > 1 and part[0] == "0":
                raise ValueError(f"want SemVer 2.0.0, got {text!r}: {part!r} has a leading zero")
        return cls(int(match[1]), int(match[2]), int(match[3]), pre, tuple(match[5].split(".")) if match[5] else ())

    @property
    def release(self) -> _Release:
        """MAJOR, MINOR, PATCH."""
        return (self.major, self.minor, self.patch)

    @property
    def precedence(self) -> tuple[object, ...]:
        """A key that orders versions as SemVer section 11 does; equal for versions that differ in build alone."""
        return (*self.release, not self.pre, _ordered(self.pre))

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return (*self.precedence, _ordered(self.build)) < (*other.precedence, _ordered(other.build))

    def __str__(self) -> str:
        pre = "-" + ".".join(self.pre) if self.pre else ""
        build = "+" + ".".join(self.build) if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{build}"


@dataclass(frozen=True, slots=True)
class Comparator:
    """One term of a constraint; `minor` and `patch` are None where they were left out or were `*`."""

    operator: Operator
    major: int
    minor: int | None = None
    patch: int | None = None
    pre: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @property
    def floor(self) -> Version:
        """The lowest version that the numbers given can mean."""
        return Version(self.major, self.minor or 0, self.patch or 0, self.pre)

    def allows(self, version: Version) -> bool:
        """Return whether `version` lies in this comparator's range (pre-releases: see `Constraint`)."""
        at, low = version.precedence, self.floor.precedence
        match self.operator:
            case "=":
                if self.patch is not None:
                    return at == low and self.build in ((), version.build)
                return at >= low and version.release < self._next_named()
            case ">=":
                return at >= low
            case ">":
                return at > low if self.patch is not None else version.release >= self._next_named()
            case "<":
                return at < low
            case "<=":
                return at <= low if self.patch is not None else version.release < self._next_named()
            case "~":
                return at >= low and version.release < self._tilde_end()
            case "^":
                return at >= low and version.release < self._caret_end()
            case "*":
                return version.release >= low[:3] and version.release < self._next_named()

    def _next_named(self) -> _Release:
        """The first release above everything that shares the numbers given."""
        if self.minor is None:
            return (self.major + 1, 0, 0)
        if self.patch is None:
            return (self.major, self.minor + 1, 0)
        return (self.major, self.minor, self.patch + 1)

    def _tilde_end(self) -> _Release:
        return (self.major + 1, 0, 0) if self.minor is None else (self.major, self.minor + 1, 0)

    def _caret_end(self) -> _Release:
        if self.major > 0 or self.minor is None:
            return (self.major + 1, 0, 0)
        if self.minor > 0 or self.patch is None:
            return (0, self.minor + 1, 0)
        return (0, 0, self.patch + 1)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Which versions a star accepts. `text` is what its author wrote.

    >>> Constraint.parse(">=1.2, <2").allows(Version.parse("1.9.9"))
    True
    >>> Constraint.parse("^0.0.3").allows(Version.parse("0.0.4"))
    False
    """

    text: str
    comparators: tuple[Comparator, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a constraint, or raise `ValueError`."""
        if len(text) > _MAX_TEXT:
            raise ValueError(f"want at most {_MAX_TEXT} characters, got {len(text)}")
        if text.strip() in ("*", "x", "X"):
            return cls(text, ())
        return cls(text, tuple(_comparator(part.strip(), text) for part in text.split(",")))

    def allows(self, version: Version) -> bool:
        """Return whether `version` satisfies every comparator, and is no pre-release that nobody asked for."""
        if not all(comparator.allows(version) for comparator in self.comparators):
            return False
        return not version.pre or any(
            comparator.pre and comparator.floor.release == version.release for comparator in self.comparators
        )

    def __str__(self) -> str:
        return self.text


ANY_VERSION = Constraint.parse("*")


def _comparator(part: str, whole: str) -> Comparator:
    match = _COMPARATOR.fullmatch(part)
    if match is None:
        raise ValueError(f"want a constraint such as ^1.36, ~1.2, >=1.2, <2, =1.0.0 or *, got {whole[:80]!r}")
    operator, *numbers = match.group(1, 2, 3, 4)
    starred = [number is not None and number in "*xX" for number in numbers]
    values = [None if number is None or number in "*xX" else int(number) for number in numbers]
    if values[0] is None or (starred[1] and values[2] is not None):
        raise ValueError(f"a * may stand only at the end, got {whole[:80]!r}")
    if any(starred) and operator is not None:
        raise ValueError(f"a * takes no operator, got {whole[:80]!r}")
    chosen: Operator = "*" if any(starred) else _OPERATORS[operator or "^"]
    pre, build = match[5], match[6]
    return Comparator(
        chosen,
        values[0],
        values[1],
        values[2],
        tuple(pre.split(".")) if pre else (),
        tuple(build.split(".")) if build else (),
    )


def _ordered(parts: tuple[str, ...]) -> tuple[tuple[bool, int, str], ...]:
    """SemVer section 11.4: numbers by value and below words, words by ASCII, a shorter list first."""
    return tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)
