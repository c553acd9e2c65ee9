"""Versions in the two schemes that stars have, and the constraints on them.

**`semver`** (semver.org 2.0.0, the default): `MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`. Precedence is SemVer's (section
11). Build metadata carries none there; so that a list of versions has one order only, versions of equal precedence are
ordered by their build identifiers, compared as section 11 compares pre-release identifiers, and none comes before any
(as Rust's semver crate does). `1.0.0 != 1.0.0+b1`: they are different stars.

**`debian`** (deb-version(7)): `[epoch:]upstream[-revision]`, ordered as dpkg does (model.debian_order); versions that
dpkg holds to be equal (`1.0` and `1.0-0`) are different stars all the same, ordered by their text.

Where one name has versions of both schemes, those of `semver` come first: a star that was imported under SemVer goes on
under its own version.

**Constraint**: comparators joined by commas, all of which must hold. What a comparator means follows from the version
that it is applied to.

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
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, Self, TypeAlias, cast

from cosmos.model.debian_order import Rank, parts_of, rank_of
from cosmos.tables import Table

Scheme: TypeAlias = Literal["semver", "debian"]
SCHEMES: Final[tuple[Scheme, ...]] = ("semver", "debian")

_NUMBER = r"0|[1-9][0-9]{0,17}"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?", re.ASCII)
_COMPARATOR = re.compile(
    rf"(\^|~|>=|>|<=|<|=)?\s*({_NUMBER}|[*xX])"
    rf"(?:\.({_NUMBER}|[*xX])(?:\.({_NUMBER}|[*xX])(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?)?)?",
    re.ASCII,
)
_DEBIAN_COMPARATOR = re.compile(r"(\^|~|>=|>>|>|<=|<<|<|=)?\s*([0-9](?:[A-Za-z0-9.+~:-]*[A-Za-z0-9.+~])?)", re.ASCII)
_DEBIAN_RANGE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(?:\.[*xX]){1,2}", re.ASCII)
_UPSTREAM_NUMBERS = re.compile(r"[0-9]{1,18}(?![0-9])(?:\.[0-9]{1,18}(?![0-9])){0,2}", re.ASCII)
_MAX_TEXT = 256
_REMEMBERED: Final = 1 << 16  # texts of versions and constraints: more than all packages of Debian have

Operator: TypeAlias = Literal["^", "~", ">=", ">>", ">", "<=", "<<", "<", "=", "*"]
_Release: TypeAlias = tuple[int, int, int]


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
        """Return what `text` most likely means where no scheme is stated: SemVer where it can be that, else Debian's.

        Raises `ValueError` where it is a version of neither scheme.
        """
        try:
            return SemVer.of(text)
        except ValueError:
            return DebianVersion.of(text)

    @property
    def is_pre_release(self) -> bool:
        """Whether it is taken only where somebody names it."""
        return False

    def is_below(self, floor: str) -> bool:
        """Return whether it lies below `floor`, read in this version's own scheme; what cannot be read lies above.

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
    order: tuple[object, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the order once: it is asked for many times."""
        object.__setattr__(self, "order", (0, *self.precedence, _ordered(self.build)))

    @classmethod
    def of(cls, text: str) -> Self:
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
        if len(text) > _MAX_TEXT or parts_of(text) is None:
            raise ValueError(f"want a Debian version such as 1:2.3-4, got {text[:80]!r}")
        return cls(text)

    @property
    def upstream(self) -> str:
        """What upstream calls the version."""
        return _debian_parts(self.text)[1]

    @property
    def rank(self) -> Rank:
        """A key in dpkg's order; equal where dpkg says so."""
        return _debian_rank(self.text)

    @property
    def order(self) -> tuple[object, ...]:  # type: ignore[override]  # worked out when it is asked for
        """The rank, then the text, so that two versions that dpkg holds to be equal have an order as well."""
        return (1, _debian_rank(self.text), self.text)

    @property
    def release(self) -> _Release:
        """The first three dotted numbers of upstream's version; what is missing is 0.

        >>> DebianVersion.of("10.0.0~dfsg-11").release, DebianVersion.of("590-2").release
        ((10, 0, 0), (590, 0, 0))
        """
        return _padded(_numbers(self.upstream))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Comparator:
    """One term of a constraint on SemVer versions; `numbers` are the one to three that were given."""

    operator: Operator
    numbers: tuple[int, ...]
    pre: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @property
    def floor(self) -> SemVer:
        """The lowest version that the numbers given can mean."""
        return SemVer(*_padded(self.numbers), self.pre)

    def allows(self, version: SemVer) -> bool:
        """Return whether `version` lies in this comparator's range (pre-releases: see `Constraint`)."""
        at, low, whole = version.precedence, self.floor.precedence, len(self.numbers) == 3
        match self.operator:
            case "=":
                if whole:
                    return at == low and self.build in ((), version.build)
                return at >= low and version.release < _end("*", self.numbers)
            case ">=":
                return at >= low
            case ">":
                return at > low if whole else version.release >= _end("*", self.numbers)
            case "<":
                return at < low
            case "<=":
                return at <= low if whole else version.release < _end("*", self.numbers)
            case "*":
                return version.release >= self.floor.release and version.release < _end("*", self.numbers)
            case _:
                return at >= low and version.release < _end(self.operator, self.numbers)


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
                enough = version.release >= _padded(self.numbers) if plain else at >= low
                return enough and version.release < _end(self.operator, self.numbers)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Which versions a star accepts. `text` is what its author wrote.

    `semver` and `debian` are its terms as each scheme reads them; None: no version of that scheme will do.
    Most constraints are written many times over: each text is read once.

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
        if len(text) > _MAX_TEXT:
            raise ValueError(f"want at most {_MAX_TEXT} characters, got {len(text)}")
        return cls(text, *_terms(text))

    @property
    def is_any(self) -> bool:
        """Whether every version will do."""
        return self.semver == ()

    def allows(self, version: Version) -> bool:
        """Return whether `version` satisfies every comparator, and is no pre-release that nobody asked for."""
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
    """Return the constraint that `version` satisfies and hardly another: `=` and the version."""
    return Constraint.parse(f"={version}")


def read_scheme(table: Table) -> Scheme:
    """Return the scheme that `version-scheme` names (left out: `semver`)."""
    return cast(Scheme, table.choice("version-scheme", SCHEMES)) if "version-scheme" in table else "semver"


def read_version(table: Table, key: str = "version") -> Version:
    """Return the version at `key`, in the scheme that `version-scheme` beside it names."""
    scheme = read_scheme(table)
    return table.read(key, lambda text: Version.parse(text, scheme))


def version_rows(version: Version) -> dict[str, object]:
    """Return `version`, and `version-scheme` where it is not the default, as `tomli_w` takes them."""
    scheme = {} if version.scheme == "semver" else {"version-scheme": version.scheme}
    return {"version": str(version), **scheme}


@functools.lru_cache(_REMEMBERED)
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


@functools.lru_cache(_REMEMBERED)
def _debian_parts(text: str) -> tuple[int, str, str]:
    parts = parts_of(text)
    assert parts is not None, "a DebianVersion has the form of one"
    return parts


@functools.lru_cache(_REMEMBERED)
def _debian_rank(text: str) -> Rank:
    return rank_of(*_debian_parts(text))


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
        return DebianComparator("*", DebianVersion.of(ranged[1]), _numbers(ranged[1]))
    match = _DEBIAN_COMPARATOR.fullmatch(part)
    if match is None or parts_of(match[2]) is None:
        return None
    if match[2].endswith(".") and match[1] in (None, "^", "~"):
        return None  # a slip of the hand; `<<2.39-.` is how packages say: any revision of 2.39, and what is earlier
    version = DebianVersion.of(match[2])
    return DebianComparator(cast(Operator, match[1] or "^"), version, _numbers(version.upstream) or (0,))


def _numbers(upstream: str) -> tuple[int, ...]:
    match = _UPSTREAM_NUMBERS.match(upstream)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def _padded(numbers: tuple[int, ...]) -> _Release:
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _end(operator: Operator, numbers: tuple[int, ...]) -> _Release:
    """Return the first release that lies above the range of `numbers` under `^`, `~` or `*`."""
    kept = len(numbers)  # how many of the numbers stay, the last of which is raised
    if operator == "~":
        kept = min(kept, 2)
    elif operator == "^":
        kept = next((place for place, number in enumerate(numbers, 1) if number), len(numbers))
    return _padded((*numbers[: kept - 1], numbers[kept - 1] + 1))


def _ordered(parts: tuple[str, ...]) -> tuple[tuple[bool, int, str], ...]:
    """SemVer section 11.4: numbers by value and below words, words by ASCII, a shorter list first."""
    return tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)


ANY_VERSION = Constraint.parse("*")
