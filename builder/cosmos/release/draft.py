"""A release that is being put together, and how it takes its place: `Draft`, and `FolderDraft`, the one on disk.

A `FolderDraft` lies beside `out/`, in `.out-XXXX`, and is removed when the build ends. A build that is killed leaves
its folder behind. The next one removes it: the file `cosmos-draft` in it is locked while its build lives, and the
kernel lets go of a dead process's locks. A folder without that file is not ours and stays.
"""

from __future__ import annotations

import contextlib
import filecmp
import glob
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cosmos.digest import Digest
from cosmos.durable import blaming, durable_file, replace_folder_durably
from cosmos.errors import WorldFailed
from cosmos.locking import alone_if_free
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE
from cosmos.model.reporter import Reporter

_MARK: Final = "cosmos-draft"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A file that was written: its digest and its size."""

    digest: Digest
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A release that stands where it belongs. `changed` is false where the same release stood there already."""

    changed: bool
    signed: bool


class Draft(Protocol):
    """A release that nobody finds before it is published."""

    @property
    def files(self) -> Mapping[str, Written]:
        """What was written so far, by name."""

    def write(self, name: str, pieces: Iterable[bytes | memoryview], mode: int = 0o644) -> None:
        """Write one file of the release. Raises `WorldFailed`."""

    def publish(self, reporter: Reporter) -> Published:
        """Make the release stand where it belongs, in one step, unless the same one stands there already.

        A signed release stays where the new one is the same but for the signature that it lacks. Raises `WorldFailed`
        where something else stands there.
        """


class FolderDraft:
    """A draft on disk: `folder` takes the place of `out` when it is published."""

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder = folder
        self._out = out
        self._files: dict[str, Written] = {}
        folder.mkdir()

    @property
    def files(self) -> Mapping[str, Written]:
        """What was written so far, by name."""
        return self._files

    def write(self, name: str, pieces: Iterable[bytes | memoryview], mode: int = 0o644) -> None:
        """Write one file durably, and hash it on the way. Raises `WorldFailed`."""
        hasher, size = hashlib.sha256(), 0
        with durable_file(self._folder / name, mode) as stream:
            for piece in pieces:
                hasher.update(piece)
                size += len(piece)
                stream.write(piece)
        self._files[name] = Written(digest=Digest.from_hex(hasher.hexdigest()), size_bytes=size)

    def publish(self, reporter: Reporter) -> Published:
        """Make the release stand at `out`, as `Draft.publish` says. Raises `WorldFailed`."""
        out, folder = self._out, self._folder
        if out.is_dir():
            loses_signature = (out / RELEASE_ENVELOPE).is_file() and RELEASE_ENVELOPE not in self._files
            if _same_files(folder, out, but=RELEASE_ENVELOPE if loses_signature else ""):
                return Published(changed=False, signed=(out / RELEASE_ENVELOPE).is_file())
            if loses_signature and (out / RELEASE_FILE).is_file():
                reporter.warn(f"{out}: a signed release is replaced by another one, which is not signed")
            demand_replaceable(out)
        replace_folder_durably(folder, out)
        return Published(changed=True, signed=RELEASE_ENVELOPE in self._files)


def demand_replaceable(out: Path) -> None:
    """Raise `WorldFailed` where a release may not take the place of `out`: it holds something that is none."""
    if out.is_dir() and any(out.iterdir()) and not (out / RELEASE_FILE).is_file():
        raise WorldFailed(
            str(out),
            "is not empty and holds no release, and cosmos does not delete what it did not make",
            hint="choose another folder with --out",
        )


@contextlib.contextmanager
def draft_beside(out: Path) -> Iterator[FolderDraft]:
    """Give an empty draft on the file system of `out`. What dead builds left beside `out` is removed before.

    Raises `WorldFailed`.
    """
    with blaming(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(out)
    while True:
        with blaming(out.parent):
            place = Path(tempfile.mkdtemp(prefix=_prefix(out), dir=out.parent))
        with alone_if_free(place / _MARK) as is_ours:
            if not is_ours or not (place / _MARK).is_file():
                continue  # another build swept it in the moment before it was locked
            try:
                yield FolderDraft(place / out.name, out)
            finally:
                shutil.rmtree(place, ignore_errors=True)
            return


def sweep_beside(out: Path) -> None:
    """Remove what builds into `out` that were killed left beside it; that of a living build stays."""
    for draft in sorted(out.parent.glob(f"{glob.escape(_prefix(out))}*")):
        if draft.is_symlink() or not (draft / _MARK).is_file():
            continue
        with alone_if_free(draft / _MARK) as is_dead:
            if is_dead:
                shutil.rmtree(draft, ignore_errors=True)


def _same_files(one: Path, other: Path, *, but: str) -> bool:
    """Return whether two folders hold the same files, with the same bytes and modes; `but` is not looked at."""
    names = sorted(file.name for file in one.iterdir() if file.name != but)
    if names != sorted(file.name for file in other.iterdir() if file.name != but):
        return False
    return all(
        (other / name).is_file()
        and (one / name).stat().st_mode == (other / name).stat().st_mode
        and filecmp.cmp(one / name, other / name, shallow=False)
        for name in names
    )


def _prefix(out: Path) -> str:
    return f".{out.name}-"
