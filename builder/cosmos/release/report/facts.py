"""Everything that the page of a release says of it, whether it is read from a folder or comes from the build itself.

`from_folder` reads a finished release, `from_build` takes what a build has in memory. Both give equal facts of one
release, but for what a build cannot know of it: its signature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from cosmos.canon import Json, canonical_json
from cosmos.model.image import Image
from cosmos.model.lock import Lock
from cosmos.model.receipts import Receipts
from cosmos.model.release import Release
from cosmos.model.reporter import counted
from cosmos.records import dataclass
from cosmos.tree.manifest import ManifestLine

if TYPE_CHECKING:
    from cosmos.release.verify import ReleaseVerdict  # which a build has no use for

_SET_ID: Final = 0o6000
_PROGRAMS: Final = 3  # of one script that are shown with their words
_WORDS_SHOWN: Final = 160  # characters of a program's words
_NO_DEEDS: Final = ("read", "glob", "filemap", "log")

# "unchecked": no public key was given. "unfinished": the page is a file of the release, and is written before the
# release has a description that somebody could sign.
Verdict: TypeAlias = "ReleaseVerdict | Literal['unchecked', 'unfinished']"


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """A path of the image that does more than others: it runs with other rights, or is a device."""

    path: str
    layer: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the bill of materials says of a star besides the lock. `origins` are the packages that it was made of."""

    licence: str = ""
    text: str = ""
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The facts of a release.

    `definition` is None if the release carries no image.toml that this Cosmos can read. `layers` are the packed and
    unpacked bytes of each layer by name, empty without a layered image. `deeds` are what the script of each star did,
    by its name, and what the finish script did, under "finish".
    """

    release: Release
    lock: Lock
    verdict: Verdict
    definition: Image | None
    bill: Mapping[str, Description]
    layers: Mapping[str, tuple[int, int]]
    rights: tuple[Right, ...]
    deeds: Mapping[str, tuple[str, ...]]


def right_of(line: ManifestLine) -> str:
    """Return what a path does more than others, in words; nothing for most."""
    if line.kind in ("char", "block"):
        return f"{line.kind} device {':'.join(map(str, line.rdev or ()))}, {line.mode:04o} {line.uid}:{line.gid}"
    if line.kind != "file":
        return ""
    said = []
    if line.mode & _SET_ID:
        said.append(f"mode {line.mode:04o}, runs with the rights of {line.uid}:{line.gid}")
    said += [f"attribute {name.decode('utf-8', 'replace')}" for name, _ in line.xattrs]
    return ", ".join(said)


def deeds_of(receipts: Receipts) -> dict[str, tuple[str, ...]]:
    """Return what each script did, by its star's name; a star without a script has none."""
    return {name: tuple(_did(one)) for name, one in {**receipts.stars, "finish": receipts.finish}.items() if one}


def _did(receipt: Json) -> Iterator[str]:
    """Yield what a script did: how often each verb, and the words of its first programs."""
    events = receipt.get("events") if isinstance(receipt, dict) else None
    did = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    counts = Counter(str(event.get("do")) for event in did if event.get("do") not in _NO_DEEDS)
    yield ", ".join(f"{verb} {number}" for verb, number in sorted(counts.items())) or "wrote nothing"
    programs = [canonical_json(event.get("words")).decode() for event in did if event.get("do") == "run"]
    yield from (f"run {words[:_WORDS_SHOWN]}" for words in programs[:_PROGRAMS])
    if len(programs) > _PROGRAMS:
        yield f"and {counted(len(programs) - _PROGRAMS, 'more program', 'more programs')}"
    if isinstance(receipt, dict) and receipt.get("unsteady"):
        yield "its programs may give another result each time (waived)"
