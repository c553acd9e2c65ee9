"""Constraints: which versions a star accepts.

A constraint is comparators joined by commas, all of which must hold. A comparator's meaning depends on the scheme of
the version that it is compared with.

    written                 for a semver version (The Cargo Book)                for a debian version (dpkg, Policy 7.1)
    1.36  ^1.36             at least that, the leftmost non-zero number stays    the same, over upstream's numbers
    ~1.2                    at least that; with a minor given, the minor stays   the same, over upstream's numbers
    1.*  1.2.*  *           that range; `*` alone is any version                 the same, over upstream's numbers
    >=1.2  >1  <2  <=1.2.3  partial versions mean the whole range: >1 is >=2     the very version, in dpkg's order
    =1.2                    partial versions mean the whole range                exactly that
    >>1.2-3  <<1:2.0~       no semver version                                    strictly later, strictly earlier

A SemVer pre-release satisfies a constraint only if a comparator names the same MAJOR.MINOR.PATCH with a pre-release.
Debian has no pre-releases in this sense: `~rc1` and `~dfsg` are parts of versions like any other. Build metadata in a
constraint: `=1.2.3+b1` demands exactly that build; everywhere else it is ignored.
"""

from __future__ import annotations

import functools
import re
from dataclasses import field
from typing import Final, Literal, Self, TypeAlias, cast

from cosmos.model.debian_order import parts_of
from cosmos.model.version import (
    IDENTIFIERS,
    MAX_TEXT,
    NUMBER,
    REMEMBERED,
    DebianVersion,
    Release,
    SemVer,
    Version,
    padded,
    upstream_numbers,
)
from cosmos.records import dataclass

_COMPARATOR: Final = re.compile(
    rf"(\^|~|>=|>|<=|<|=)?\s*({NUMBER}|[*xX])"
    rf"(?:\.({NUMBER}|[*xX])(?:\.({NUMBER}|[*xX])(?:-({IDENTIFIERS}))?(?:\+({IDENTIFIERS}))?)?)?",
    re.ASCII,
)
_DEBIAN_COMPARATOR: Final = re.compile(
    r"(\^|~|>=|>>|>|<=|<<|<|=)?\s*([0-9](?:[A-Za-z0-9.+~:-]*[A-Za-z0-9.+~])?)", re.ASCII
)
_DEBIAN_EXACT: Final = re.compile(r"=\s*([A-Za-z][A-Za-z0-9.+~-]*)", re.ASCII)  # dpkg lets a version begin so
_MAX_CONSTRAINT: Final = MAX_TEXT + 2  # an operator and a version
_DEBIAN_RANGE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(?:\.[*xX]){1,2}", re.ASCII)

Operator: TypeAlias = Literal["^", "~", ">=", ">>", ">", "<=", "<<", "<", "=", "*"]


@dataclass(frozen=True, slots=True)
class Comparator:
    """One term of a constraint on SemVer versions; `numbers` are the one to three that were given."""

    operator: Operator
    numbers: tuple[int, ...]
    pre: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    floor: SemVer = field(init=False, compare=False, repr=False)
    end: Release = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out once the lowest version that the numbers can mean, and the first release above their range."""
        object.__setattr__(self, "floor", SemVer(*padded(self.numbers), self.pre))
        object.__setattr__(self, "end", _end("*" if self.operator in ("=", ">", "<=") else self.operator, self.numbers))

    def allows(self, version: SemVer) -> bool:
        """Return whether `version` lies in this comparator's range (pre-releases: see `Constraint`)."""
        at, low, whole = version.precedence, self.floor.precedence, len(self.numbers) == 3
        match self.operator:
            case "=":
                if whole:
                    return at == low and self.build in ((), version.build)
                return at >= low and version.release < self.end
            case ">=":
                return at >= low
            case ">":
                return at > low if whole else version.release >= self.end
            case "<":
                return at < low
            case "<=":
                return at <= low if whole else version.release < self.end
            case "*":
                return version.release >= self.floor.release and version.release < self.end
            case _:
                return at >= low and version.release < self.end


@dataclass(frozen=True, slots=True)
class DebianComparator:
    """One term of a constraint on Debian versions."""

    operator: Operator
    version: DebianVersion
    numbers: tuple[int, ...]  # of upstream's, as many as were given

    def allows(self, version: DebianVersion) -> bool:
        """Return whether `version` lies in this comparator's range."""
        at, low = version.rank, self.version.rank
        match self.operator:
            case "=":
                return at == low
            case ">=":
                return at >= low
            case ">" | ">>":
                return at > low
            case "<" | "<<":
                return at < low
            case "<=":
                return at <= low
            case _:
                plain = self.version.text == ".".join(map(str, self.numbers))
                enough = version.release >= padded(self.numbers) if plain else at >= low
                return enough and version.release < _end(self.operator, self.numbers)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Which versions a star accepts. `text` is what its author wrote; white space is one blank, and none at the ends.

    `semver` and `debian` are its terms as each scheme reads them; None means that no version of that scheme satisfies
    it. Each text is parsed once, because the same constraints come again and again.

    >>> Constraint.parse(">=1.2, <2").allows(Version.parse("1.9.9"))
    True
    >>> Constraint.parse(">= 1.2-4").allows(Version.parse("1.2-3", "debian"))
    False
    """

    text: str
    semver: tuple[Comparator, ...] | None = field(compare=False, repr=False)
    debian: tuple[DebianComparator, ...] | None = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a constraint, or raise `ValueError`."""
        if len(text) > _MAX_CONSTRAINT:
            raise ValueError(f"want at most {_MAX_CONSTRAINT} characters, got {len(text)}")
        plain = " ".join(text.split())
        return cls(plain, *_terms(plain))

    @property
    def is_any(self) -> bool:
        """Whether every version satisfies it."""
        return self.semver == ()

    def allows(self, version: Version) -> bool:
        """Return whether `version` satisfies every comparator. A pre-release must be named by one of them as well."""
        if not self.covers(version):
            return False
        return not version.is_pre_release or any(
            comparator.pre and comparator.floor.release == cast(SemVer, version).release
            for comparator in self.semver or ()
        )

    def covers(self, version: Version) -> bool:
        """Return whether `version` satisfies every comparator: a pre-release counts like any other, as in a conflict.

        >>> Constraint.parse("*").covers(Version.parse("2.0.0-beta"))
        True
        """
        match version:
            case SemVer():
                return self.semver is not None and all(comparator.allows(version) for comparator in self.semver)
            case DebianVersion():
                return self.debian is not None and all(comparator.allows(version) for comparator in self.debian)
            case _:
                return False

    def __str__(self) -> str:
        return self.text


def exactly(version: Version) -> Constraint:
    """Return the constraint `=VERSION`: only this version satisfies it, and those that its scheme holds equal."""
    return Constraint.parse(f"={version}")


@functools.lru_cache(REMEMBERED)
def _terms(text: str) -> tuple[tuple[Comparator, ...] | None, tuple[DebianComparator, ...] | None]:
    if text.strip() in ("*", "x", "X"):
        return (), ()
    parts = [part.strip() for part in text.split(",")]
    debian = [found for part in parts if (found := _debian_comparator(part))]
    try:
        semver: tuple[Comparator, ...] | None = tuple(_comparator(part, text) for part in parts)
    except ValueError:
        if len(debian) < len(parts):
            raise
        semver = None
    return semver, tuple(debian) if len(debian) == len(parts) else None


def _comparator(part: str, whole: str) -> Comparator:
    match = _COMPARATOR.fullmatch(part)
    if match is None:
        raise ValueError(f"want a constraint such as ^1.36, ~1.2, >=1.2, <2, =1.0.0, >>1.2-3 or *, got {whole[:80]!r}")
    operator, *numbers = match.group(1, 2, 3, 4)
    starred = [number is not None and number in "*xX" for number in numbers]
    values = [None if number is None or number in "*xX" else int(number) for number in numbers]
    if values[0] is None or (starred[1] and values[2] is not None):
        raise ValueError(f"a * may stand only at the end, got {whole[:80]!r}")
    if any(starred) and operator is not None:
        raise ValueError(f"a * takes no operator, got {whole[:80]!r}")
    return Comparator(
        "*" if any(starred) else cast(Operator, operator or "^"),
        tuple(value for value in values if value is not None),
        tuple(match[5].split(".")) if match[5] else (),
        tuple(match[6].split(".")) if match[6] else (),
    )


def _debian_comparator(part: str) -> DebianComparator | None:
    if ranged := _DEBIAN_RANGE.fullmatch(part):
        return DebianComparator("*", DebianVersion.of(ranged[1]), upstream_numbers(ranged[1]))
    exact = _DEBIAN_EXACT.fullmatch(part)
    if exact and exact[1] not in "xX" and parts_of(exact[1]):
        return DebianComparator("=", DebianVersion.of(exact[1]), ())
    match = _DEBIAN_COMPARATOR.fullmatch(part)
    if match is None or parts_of(match[2]) is None:
        return None
    if match[2].endswith(".") and match[1] in (None, "^", "~"):
        return None  # a typing error; packages write `<<2.39-.` for any revision of 2.39, and for earlier versions
    version = DebianVersion.of(match[2])
    return DebianComparator(cast(Operator, match[1] or "^"), version, upstream_numbers(version.upstream) or (0,))


def _end(operator: Operator, numbers: tuple[int, ...]) -> Release:
    """Return the first release that lies above the range of `numbers` under `^`, `~` or `*`."""
    kept = len(numbers)  # how many of the numbers stay, the last of which is raised
    if operator == "~":
        kept = min(kept, 2)
    elif operator == "^":
        kept = next((place for place, number in enumerate(numbers, 1) if number), len(numbers))
    return padded((*numbers[: kept - 1], numbers[kept - 1] + 1))


ANY_VERSION = Constraint.parse("*")
