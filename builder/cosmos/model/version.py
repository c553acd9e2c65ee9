"""Versions of stars, in two schemes. For ranges of versions see model.constraint.

**`semver`** (semver.org 2.0.0, the default): `MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`. Precedence is SemVer's (section
11). SemVer gives build metadata no precedence. A list of versions must have one order only, so versions of equal
precedence are ordered by their build identifiers, compared as section 11 compares pre-release identifiers. A version
without build identifiers comes first (as in Rust's semver crate). `1.0.0 != 1.0.0+b1`: they are different stars.

**`debian`** (deb-version(7)): `[epoch:]upstream[-revision]`, ordered as dpkg does (model.debian_order). Versions that
dpkg holds to be equal (`1.0` and `1.0-0`) are different stars, ordered by their text.

If one name has versions of both schemes, those of `semver` come first: a star that was imported under SemVer goes on
under its own version.
"""

from __future__ import annotations

import functools
import re
from dataclasses import field
from typing import ClassVar, Final, Literal, Self, TypeAlias, cast

from cosmos.model.debian_order import Rank, parts_of, rank_of
from cosmos.records import dataclass
from cosmos.tables import Table

Scheme: TypeAlias = Literal["semver", "debian"]
SCHEMES: Final[tuple[Scheme, ...]] = ("semver", "debian")

NUMBER = r"0|[1-9][0-9]{0,17}"
IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"({NUMBER})\.({NUMBER})\.({NUMBER})(?:-({IDENTIFIERS}))?(?:\+({IDENTIFIERS}))?", re.ASCII)
_UPSTREAM_NUMBERS = re.compile(r"[0-9]{1,18}(?![0-9])(?:\.[0-9]{1,18}(?![0-9])){0,2}", re.ASCII)
MAX_TEXT: Final = 256  # characters of a version or a constraint
REMEMBERED: Final = 1 << 16  # texts that are read once: more than all packages of Debian have

Release: TypeAlias = tuple[int, int, int]


@functools.total_ordering
class Version:
    """One version of a star, in either scheme. All versions have one order.

    >>> str(Version.parse("1:2.3-4", "debian")), Version.parse("1.0.0").scheme
    ('1:2.3-4', 'semver')
    """

    __slots__ = ()
    scheme: ClassVar[Scheme]
    order: tuple[object, ...]

    @staticmethod
    def parse(text: str, scheme: Scheme = "semver") -> Version:
        """Return `text` as a version of `scheme`, or raise `ValueError`."""
        return SemVer.of(text) if scheme == "semver" else DebianVersion.of(text)

    @staticmethod
    def guessed(text: str) -> Version:
        """Return `text` as a version whose scheme is not stated: SemVer if it has that form, else Debian's.

        Raises `ValueError` if it is a version of neither scheme.
        """
        try:
            return SemVer.of(text)
        except ValueError:
            return DebianVersion.of(text)

    @property
    def is_pre_release(self) -> bool:
        """Whether it is chosen only if a constraint names it."""
        return False

    def is_below(self, floor: str) -> bool:
        """Return whether it is below `floor`, read in this version's scheme. A floor that cannot be read is above it.

        >>> Version.parse("1.2-3", "debian").is_below("1.2-10"), Version.parse("1.9.0").is_below("2:1.0-1")
        (True, True)
        """
        try:
            return self < Version.parse(floor, self.scheme)
        except ValueError:
            return True

    def __lt__(self, other: object) -> bool:
        return self.order < other.order if isinstance(other, Version) else NotImplemented


@dataclass(frozen=True, slots=True)
class SemVer(Version):
    """A version of SemVer 2.0.0.

    >>> SemVer.of("1.0.0-alpha.1") < SemVer.of("1.0.0-alpha.beta") < SemVer.of("1.0.0")
    True
    """

    scheme: ClassVar[Scheme] = "semver"
    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    precedence: tuple[object, ...] = field(init=False, repr=False, compare=False)
    order: tuple[object, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out its parts once: they are read many times.

        `precedence` orders versions as SemVer section 11 does; it is equal for versions that differ in build alone.
        """
        precedence = (self.major, self.minor, self.patch, not self.pre, _ordered(self.pre))
        object.__setattr__(self, "precedence", precedence)
        object.__setattr__(self, "order", (0, *precedence, _ordered(self.build)))

    @staticmethod
    def of(text: str) -> SemVer:
        """Return `text` as a version, or raise `ValueError`. Each text is parsed once."""
        return _semver(text)

    @property
    def release(self) -> Release:
        """MAJOR, MINOR, PATCH."""
        return (self.major, self.minor, self.patch)

    @property
    def is_pre_release(self) -> bool:
        """Whether it is a pre-release (SemVer section 9)."""
        return bool(self.pre)

    def __str__(self) -> str:
        pre = "-" + ".".join(self.pre) if self.pre else ""
        build = "+" + ".".join(self.build) if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{build}"


@dataclass(frozen=True, slots=True)
class DebianVersion(Version):
    """A version in Debian's form and order.

    >>> sorted(map(DebianVersion.of, ["1.0", "1:0.1", "1.0~rc1", "1.0-1"]))[0].text
    '1.0~rc1'
    """

    scheme: ClassVar[Scheme] = "debian"
    text: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return `text` as a version, or raise `ValueError`."""
        if len(text) > MAX_TEXT or parts_of(text) is None:
            raise ValueError(f"want a Debian version such as 1:2.3-4, got {text[:80]!r}")
        return cls(text)

    @property
    def upstream(self) -> str:
        """The version as upstream writes it."""
        return _debian_parts(self.text)[1]

    @property
    def rank(self) -> Rank:
        """A key in dpkg's order; two keys are equal if dpkg holds the versions to be equal."""
        return _debian_rank(self.text)

    @property
    def order(self) -> tuple[object, ...]:  # type: ignore[override]  # worked out when it is asked for
        """The rank, then the text, so that two versions that dpkg holds to be equal have an order as well."""
        return (1, _debian_rank(self.text), self.text)

    @property
    def release(self) -> Release:
        """The first three dotted numbers of upstream's version; a missing number is 0.

        >>> DebianVersion.of("10.0.0~dfsg-11").release, DebianVersion.of("590-2").release
        ((10, 0, 0), (590, 0, 0))
        """
        return padded(upstream_numbers(self.upstream))

    def __str__(self) -> str:
        return self.text


def read_scheme(table: Table) -> Scheme:
    """Return the scheme that `version-scheme` names (left out: `semver`)."""
    return cast(Scheme, table.choice("version-scheme", SCHEMES)) if "version-scheme" in table else "semver"


def read_version(table: Table, key: str = "version") -> Version:
    """Return the version at `key`, in the scheme that `version-scheme` beside it names."""
    scheme = read_scheme(table)
    return table.read(key, lambda text: Version.parse(text, scheme))


def version_rows(version: Version) -> dict[str, object]:
    """Return `version`, and `version-scheme` if it is not the default, as `tomli_w` takes them."""
    scheme = {} if version.scheme == "semver" else {"version-scheme": version.scheme}
    return {"version": str(version), **scheme}


@functools.lru_cache(REMEMBERED)
def _semver(text: str) -> SemVer:
    match = _VERSION.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError(f"want MAJOR.MINOR.PATCH (SemVer 2.0.0), got {text[:80]!r}")
    pre = tuple(match[4].split(".")) if match[4] else ()
    for part in pre:
        if part.isdigit() and len(part) > 1 and part[0] == "0":
            raise ValueError(f"want SemVer 2.0.0, got {text!r}: {part!r} has a leading zero")
    return SemVer(int(match[1]), int(match[2]), int(match[3]), pre, tuple(match[5].split(".")) if match[5] else ())


@functools.lru_cache(REMEMBERED)
def _debian_parts(text: str) -> tuple[int, str, str]:
    parts = parts_of(text)
    assert parts is not None, "a DebianVersion has the form of one"
    return parts


@functools.lru_cache(REMEMBERED)
def _debian_rank(text: str) -> Rank:
    return rank_of(*_debian_parts(text))


def upstream_numbers(upstream: str) -> tuple[int, ...]:
    """Return the dotted numbers that upstream's version begins with, three at most."""
    match = _UPSTREAM_NUMBERS.match(upstream)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def padded(numbers: tuple[int, ...]) -> Release:
    """Return `numbers` as a release: a missing number is 0."""
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _ordered(parts: tuple[str, ...]) -> tuple[tuple[bool, int, str], ...]:
    """SemVer section 11.4: numbers by value and below words, words by ASCII, a shorter list first."""
    return tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)
