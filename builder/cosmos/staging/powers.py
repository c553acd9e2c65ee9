"""Enforce the operator's `[policy]` (`model.powers`): what a star may do, in an image and on a system.

A star is judged by the entries that it would install and by its receipt. So it does not matter how its script made
them, or whether the layer comes from the store. A path is judged after links are followed: a file behind a link that
leads out of /usr lies outside /usr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Protocol, Self

from cosmos.canon import Json
from cosmos.errors import ScriptFailed
from cosmos.model.names import StarName
from cosmos.model.powers import Power, Powers
from cosmos.records import dataclass
from cosmos.tree.entry import CAPABILITY
from cosmos.treepath import TreePath, escaped

# /usr and /etc, and the names that parts of /usr go by where they are not merged (docs/decisions/0011).
_OPEN: Final = (b"usr", b"etc", b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32")
_OPERATORS: Final = b"etc/cosmos"  # whom a system trusts, and what its stars may do


class Laid(Protocol):
    """A path that a star brings, with the fields that powers depend on: a manifest's line, or a universe's entry."""

    @property
    def path(self) -> TreePath:
        """Its path."""

    @property
    def kind(self) -> str:
        """Its kind: file, dir, symlink, …"""

    @property
    def mode(self) -> int:
        """Its twelve mode bits."""

    @property
    def uid(self) -> int:
        """Its owner's number."""

    @property
    def gid(self) -> int:
        """Its group's number."""

    @property
    def xattrs(self) -> tuple[tuple[bytes, bytes], ...]:
        """Its extended attributes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenFolders:
    """The folders that every star may install into, with links followed; `base` is the folder that holds them.

    `operators` is the one folder inside them that is closed to every star.

    >>> str(OpenFolders.below(TreePath(b"opt/stars"), lambda path: path))
    'usr and etc of /opt/stars'
    """

    base: TreePath
    real: frozenset[TreePath]
    operators: TreePath

    @classmethod
    def below(cls, base: TreePath, real: Callable[[TreePath], TreePath]) -> Self:
        """Return the open folders below `base`; `real` returns a folder's path after links are followed."""
        tops = frozenset(real(base.joined(top)) for top in _OPEN)
        return cls(base=base, real=tops, operators=real(base.joined(_OPERATORS)))

    def hold(self, laid: Laid) -> bool:
        """Whether it lies in one of them, or is one of them as a folder; a link in place of one counts as outside."""
        if laid.path in self.real:
            return laid.kind == "dir"
        return laid.path.startswith(_prefixes(self.real))

    def are_the_operators(self, laid: Laid) -> bool:
        """Whether it is, or lies in, the folder of the operator's own settings."""
        return laid.path == self.operators or laid.path.startswith(self.operators + b"/")

    def __str__(self) -> str:
        return f"usr and etc of /{self.base.text}" if self.base else "/usr and /etc"


@lru_cache(maxsize=16)
def _prefixes(folders: frozenset[TreePath]) -> tuple[bytes, ...]:
    """Return what the path of everything in `folders` begins with."""
    return tuple(folder + b"/" for folder in sorted(folders))


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """The operator's policy on what stars may do. `file` holds it. `safe`: no script may run a program."""

    powers: Powers
    file: str
    folders: OpenFolders
    safe: bool

    def gives(self, star: StarName, power: Power) -> bool:
        """Whether `star` may use `power`."""
        return self.powers.has(star, power) and not (self.safe and power == "run")

    def hint(self, star: StarName, power: Power) -> str:
        """Return the hint that tells the operator how to let `star` use `power`."""
        if self.safe and power == "run":
            return "--safe refuses run(), whatever the policy says"
        return f"if it may, write under [policy] in {self.file}:\n{self.powers.lines_with({power: [star]})}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A star needs a power. `what` is the first of its `times` reasons. `is_given`: the operator gave it that power."""

    star: StarName
    power: Power
    what: str
    times: int
    is_given: bool

    def __str__(self) -> str:
        more = f" (and {self.times - 1} more of the kind)" if self.times > 1 else ""
        return f"{self.what}{more}"


def wanted_powers(consent: Consent, star: StarName, laid: Iterable[Laid], receipt: Json) -> tuple[Wanted, ...]:
    """Return the powers that the star needs, one row for each."""
    found: dict[Power, list[str]] = {}
    for power, what in _needed(consent.folders, laid, receipt):
        found.setdefault(power, []).append(what)
    return tuple(
        Wanted(star=star, power=power, what=what[0], times=len(what), is_given=consent.gives(star, power))
        for power, what in found.items()
    )


def overreaches(consent: Consent, star: StarName, laid: Iterable[Laid], receipt: Json) -> tuple[Wanted, ...]:
    """Return the powers that the star needs and was not given, one row for each."""
    return tuple(row for row in wanted_powers(consent, star, laid, receipt) if not row.is_given)


def demand_none(consent: Consent, found: Sequence[Wanted]) -> None:
    """Raise `ScriptFailed` if `found` is not empty; it names all rows, and its hint the lines that would allow them."""
    if not found:
        return
    stars = dict.fromkeys(row.star for row in found)
    only = len(stars) == 1
    said = "; ".join(str(row) if only else f"{row.star}: {row}" for row in found)
    wanted: dict[Power, list[StarName]] = {}
    for row in found:
        wanted.setdefault(row.power, []).append(row.star)
    may = "it" if only else "they"
    hint = f"if {may} may, write under [policy] in {consent.file}:\n{consent.powers.lines_with(wanted)}"
    if consent.safe and "run" in wanted:
        hint = "--safe refuses run(), whatever the policy says"
    where = str(found[0].star) if only else f"{len(stars)} stars"
    raise ScriptFailed(where, f"{said}, and the operator's policy does not allow that", hint=hint)


def _needed(folders: OpenFolders, laid: Iterable[Laid], receipt: Json) -> Iterator[tuple[Power, str]]:
    """Yield each power that a star needs, with the reason."""
    events = receipt.get("events") if isinstance(receipt, dict) else None
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and event.get("do") == "run":
            yield "run", "its script runs a program"
    inside, tops, closed = _prefixes(folders.real), folders.real, folders.operators
    for one in laid:
        path = one.path  # that of most lies inside, and then nothing of it is worth a look but its rights
        if not (path.startswith(inside) and not path.startswith(closed) and path not in tops and _is_usual(one)):
            yield from _needed_for(one, folders)


def _needed_for(laid: Laid, folders: OpenFolders) -> Iterator[tuple[Power, str]]:
    if _is_usual(laid) and folders.hold(laid) and not folders.are_the_operators(laid):
        return
    shown = f"/{laid.path.text}"
    if laid.kind == "file" and laid.mode & 0o6000:
        yield "setuid", f"{shown} runs with its owner's or group's rights ({laid.mode:04o})"
    if any(attribute == CAPABILITY for attribute, _ in laid.xattrs):
        yield "setcap", f"{shown} has capabilities"
    for attribute, _ in laid.xattrs:  # lists of who may write, labels, marks of overlays: the kernel acts on them
        if attribute != CAPABILITY and not attribute.startswith(b"user."):
            yield "setcap", f"{shown} has the attribute {escaped(attribute)}"
    if laid.kind in ("char", "block"):
        yield "mknod", f"{shown} is a device"
    if (laid.uid, laid.gid) != (0, 0):
        yield "chown", f"{shown} belongs to {laid.uid}:{laid.gid}"
    is_like_tmp = laid.kind == "dir" and laid.mode & 0o1000 and not folders.hold(laid)  # needs `outside` all the same
    if laid.kind in ("file", "dir", "fifo") and laid.mode & 0o002 and not is_like_tmp:
        yield "chown", f"{shown} may be written by everybody ({laid.mode:04o})"
    plain = laid.kind == "dir" and (laid.mode, laid.uid, laid.gid) == (0o755, 0, 0)
    if not plain and folders.are_the_operators(laid):
        yield "outside", f"{shown} may be written by the operator alone"
    elif not plain and not folders.hold(laid):
        yield "outside", f"{shown} lies outside {folders}"


def _is_usual(laid: Laid) -> bool:
    """Return whether nothing about it but its place could need a power: most paths are so."""
    rights = 0o777 if laid.kind == "symlink" else 0o775
    is_usual = laid.kind in ("file", "dir", "symlink", "hardlink") and not laid.mode & ~rights
    return is_usual and not laid.xattrs and (laid.uid, laid.gid) == (0, 0)
