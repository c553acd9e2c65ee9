"""Debian's versions: their order, and the SemVer that a star made of a package bears.

**Order** (Debian Policy 5.6.12, dpkg's `dpkg_version_compare`): epoch, upstream version, revision; each of the latter
two as runs of non-digits and digits in turn. `~` comes before the end, the end before letters, letters before all else.

**SemVer** of `[epoch:]upstream[-revision]`:

    the first three dotted numbers of upstream      MAJOR.MINOR.PATCH, missing ones 0, leading zeros gone
    `~` straight after them, and what follows it    the pre-release, unless it is a rebuild (`~deb`, `~bpo`, `~ubuntu`)
    the epoch, where there is one                   build identifier `e1`
    what else upstream has                          build identifiers
    the revision                                    build identifier `DEB`, then its own

Identifiers are the runs of digits and of letters. So that later versions compare later (a shorter list comes first,
then numbers, then words by ASCII; see `model.version`): `+` and `.` before a number become `y` and `z`, because `4+b1`
comes before `4.1`; a number before a `~` becomes one less and `zz`, because `1~deb12u1` comes before `1`; a word that
ends upstream's version is followed by `0`, because `dfsg` comes before `dfsg1`; all else is dropped.

>>> str(semver("1:1.35.0-4+deb12u1+b1")), str(semver("2.4.68-1~deb12u1")), str(semver("4.0~rc1-2"))
('1.35.0+e1.DEB.4.deb.12.u.1.b.1', '2.4.68+DEB.0.zz.deb.12.u.1', '4.0.0-rc.1+DEB.2')
>>> str(semver("20230311")), str(semver("1.2.13.dfsg-1")), str(semver("08.09-1"))
('20230311.0.0', '1.2.13+dfsg.0.DEB.1', '8.9.0+DEB.1')

The promise: `a < b` in Debian means `semver(a) < semver(b)`, for versions of one epoch whose numbers before the first
non-number are as many, in the forms that Debian's own archive uses (`-N`, `-N.N`, `+debNuN`, `+bN`, `~debNuN`,
`~bpoN+N`, `+dfsg…`, `+gitDATE`, `~rcN`, letters after the numbers).
KNOWN GAP: epochs that rise while the version falls, `~` after letters or after 0, `~deb` in a version with no revision,
and letters beside `+` (`1ubuntu1`, `1+b1`) may compare otherwise. The exact version is kept in the star's `[[origin]]`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, Self, TypeAlias

from cosmos.model.version import ANY_VERSION, Constraint, Version
from cosmos.tree.deb822 import Relation

Rounding: TypeAlias = Literal["wide", "narrow"]

_FORM = re.compile(r"(?:([0-9]+):)?([A-Za-z0-9.+~-]+?)(?:-([A-Za-z0-9.+~]+))?", re.ASCII)
_MAX_TEXT = 200
_NUMBERS = re.compile(r"[0-9]{1,18}(?![0-9])(?:\.[0-9]{1,18}(?![0-9])){0,2}", re.ASCII)
_REBUILD = re.compile(r"~(?:deb|bpo|ubuntu)[0-9]")
_PIECES = re.compile(r"[0-9]+|[A-Za-z]+|[.+~-]")
_MAX_IDENTIFIERS = 150  # characters: a SemVer of ours has 256 at most


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class DebVersion:
    """A version in Debian's form and order. Versions that compare equal may be spelt differently (`1.0`, `1.0-0`).

    >>> sorted(map(DebVersion.parse, ["1.0", "1:0.1", "1.0~rc1", "1.0-1"]))[0].text
    '1.0~rc1'
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a version, or raise `ValueError`."""
        if len(text) > _MAX_TEXT or not _FORM.fullmatch(text):
            raise ValueError(f"want a Debian version such as 1:2.3-4, got {text[:80]!r}")
        return cls(text)

    @property
    def epoch(self) -> int:
        """The number before the colon, or 0."""
        return int(self._parts[0] or 0)

    @property
    def upstream(self) -> str:
        """What upstream calls the version."""
        return self._parts[1]

    @property
    def revision(self) -> str:
        """What stands after the last hyphen; empty for Debian's own packages."""
        return self._parts[2] or ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebVersion) and _compared(self, other) == 0

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, DebVersion):
            return NotImplemented
        return _compared(self, other) < 0

    def __hash__(self) -> int:
        return hash(self.epoch)  # versions that are spelt differently may be equal

    def __str__(self) -> str:
        return self.text

    @property
    def _parts(self) -> tuple[str | None, str, str | None]:
        match = _FORM.fullmatch(self.text)
        if match is None:
            raise ValueError(f"not a Debian version: {self.text!r}")
        return match[1], match[2], match[3]


def semver(text: str) -> Version:
    """Return the SemVer of a Debian version, or raise `ValueError`; the rule is in the module's docstring."""
    version = DebVersion.parse(text)
    numbers = _NUMBERS.match(version.upstream)
    release = [int(number) for number in numbers[0].split(".")] if numbers else []
    rest = version.upstream[numbers.end() :] if numbers else version.upstream
    pre: tuple[str, ...] = ()
    if rest.startswith("~") and not _REBUILD.match(rest):
        pre, rest = _pre_release(rest), ""
    build = [f"e{version.epoch}"] if version.epoch else []
    build += _identifiers(rest)
    if version.revision:
        ending = ["0"] if rest[-1:].isalpha() else []
        build += [*ending, "DEB", *_identifiers(version.revision)]
    major, minor, patch = (*release, 0, 0, 0)[:3]
    return Version.parse(str(Version(major, minor, patch, _bounded(pre), _bounded(build))))


def constraint(relation: Relation, rounding: Rounding) -> Constraint:
    """Return the versions that a Debian relation names, as a constraint on their SemVers; raises `ValueError`.

    A constraint does not see build metadata, so that `>> 2.36-9` cannot be said exactly. `wide` takes too many rather
    than too few (for what a star needs), `narrow` too few (for what it cannot stand beside). `=` is always exact.
    """
    if relation.operator is None:
        return ANY_VERSION
    version = semver(relation.version)
    floor = Version(version.major, version.minor, version.patch, version.pre)
    is_exact = relation.version == DebVersion.parse(relation.version).upstream and not version.build
    match relation.operator:
        case "=":
            text = f"={version}"
        case ">=":
            text = f">={floor}" if rounding == "wide" or is_exact else f">{floor}"
        case ">>":
            text = f">={floor}" if rounding == "wide" else f">{floor}"
        case "<=":
            text = f"<={floor}" if rounding == "wide" else f"<{floor}"
        case "<<":
            text = f"<{floor}" if rounding == "narrow" or is_exact else f"<={floor}"
    return Constraint.parse(text)


def satisfies(version: DebVersion, relation: Relation) -> bool:
    """Return whether Debian holds `version` to be one that `relation` names; raises `ValueError`."""
    if relation.operator is None:
        return True
    wanted = DebVersion.parse(relation.version)
    match relation.operator:
        case "=":
            return version == wanted
        case ">=":
            return version >= wanted
        case ">>":
            return version > wanted
        case "<=":
            return version <= wanted
        case "<<":
            return version < wanted


def _identifiers(text: str) -> list[str]:
    """Return what stands in build metadata for `text`, which follows a number or stands alone."""
    out: list[str] = []
    pieces = _PIECES.findall(text)
    for place, piece in enumerate(pieces):
        following = pieces[place + 1] if place + 1 < len(pieces) else ""
        if piece.isdigit():
            number = int(piece)
            out += [str(number - 1), "zz"] if following == "~" and number else [str(number)]
        elif piece.isalpha():
            out.append(piece)
        elif piece in "+." and following.isdigit():
            out.append("y" if piece == "+" else "z")
    return out


def _pre_release(text: str) -> tuple[str, ...]:
    """Return the identifiers of a pre-release for `~…`; each further `~` is lost."""
    pieces = re.findall(r"[0-9]+|[A-Za-z]+", text)
    return tuple(str(int(piece)) if piece.isdigit() else piece for piece in pieces) or ("0",)


def _bounded(identifiers: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    kept, room = [], _MAX_IDENTIFIERS
    for identifier in identifiers:
        room -= len(identifier) + 1
        if room < 0:
            break
        kept.append(identifier)
    return tuple(kept)


def _compared(one: DebVersion, other: DebVersion) -> int:
    """Return a negative number, 0 or a positive one."""
    if one.epoch != other.epoch:
        return one.epoch - other.epoch
    return _part_compared(one.upstream, other.upstream) or _part_compared(one.revision, other.revision)


def _part_compared(one: str, other: str) -> int:
    for mine, theirs in zip_longest(_runs(one), _runs(other), fillvalue=("", 0)):
        words = _word_compared(mine[0], theirs[0])
        if words or mine[1] != theirs[1]:
            return words or mine[1] - theirs[1]
    return 0


def _runs(text: str) -> list[tuple[str, int]]:
    """Return pairs of non-digits (maybe none) and the number that follows (0 where there is none)."""
    return [(word, int(number or 0)) for word, number in re.findall(r"([^0-9]*)([0-9]*)", text) if word or number]


def _word_compared(one: str, other: str) -> int:
    for mine, theirs in zip_longest(one, other, fillvalue=""):
        if mine != theirs:
            return _weight(mine) - _weight(theirs)
    return 0


def _weight(char: str) -> int:
    if char == "~":
        return -1
    if not char:
        return 0
    return ord(char) if char.isalpha() else ord(char) + 256
