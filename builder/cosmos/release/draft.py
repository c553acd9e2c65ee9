"""An unfinished release, and the step that publishes it: the interface `Draft`, and `FolderDraft` on disk.

A `FolderDraft` is in the folder `.out-XXXX` beside `out/`. The build removes it at its end. A killed build leaves its
folder, and the next build removes it, also one that finds nothing changed. A living build holds a lock on the file
`cosmos-draft` in its folder; the kernel releases the lock when the process dies. A folder without this file is not ours
and stays, unless it is empty, has such a name, and is this user's alone: a build that was killed in its first moment
left it.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from cosmos.digest import Digest
from cosmos.durable import blaming, durable_file, replace_folder_durably
from cosmos.errors import CosmosError, Malformed, WorldFailed
from cosmos.limits import MAX_RELEASE_BYTES, MAX_SIGNED_BYTES
from cosmos.links import real
from cosmos.locking import alone_if_free
from cosmos.model.release import DRAFT_MARK, MANIFEST_FILE, RELEASE_ENVELOPE, RELEASE_FILE, Release, draft_prefix
from cosmos.model.reporter import Reporter
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.trust.dsse import is_envelope_of
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import REQUEST_FILE, SIGNATURE_FILE

_TAIL: Final = re.compile(r"[a-z0-9_]{8}")  # what mkdtemp adds to a prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """The digest and the size of a written file."""

    digest: Digest
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A published release. `changed` is false if the same release was there before."""

    changed: bool
    signed: bool


class Draft(Protocol):
    """An unfinished release. Nobody finds it before it is published."""

    @property
    def files(self) -> Mapping[str, Written]:
        """The files written so far, by name."""

    def write(self, name: str, pieces: Iterable[bytes | memoryview], mode: int = 0o644) -> None:
        """Write one file of the release. Raises `WorldFailed`."""

    def publish(self, reporter: Reporter) -> Published:
        """Move the release to its place in one step, unless the same release is there already.

        If the old release is signed and the new one differs only by its missing signature, the old one stays. What is
        no envelope over its RELEASE.json is no signature. Raises `WorldFailed` if the place holds something that is not
        a release.
        """


class FolderDraft:
    """A draft on disk: `folder` takes the place of `out` when it is published."""

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder = folder
        self._out = out
        self._files: dict[str, Written] = {}
        folder.mkdir()

    @property
    def folder(self) -> Path:
        """Where its files are until it is published."""
        return self._folder

    @property
    def files(self) -> Mapping[str, Written]:
        """The files written so far, by name."""
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
        """Move the release to `out`, as `Draft.publish` says. Raises `WorldFailed`."""
        out, folder = self._out, self._folder
        if out.is_dir():
            stays = RELEASE_ENVELOPE not in self._files and (out / RELEASE_ENVELOPE).is_file()
            is_signed = stays and holds_signature(out)
            if _same_files(folder, out, but=RELEASE_ENVELOPE if is_signed else ""):
                return Published(changed=False, signed=(out / RELEASE_ENVELOPE).is_file())
            if is_signed:
                reporter.warn(f"{out}: an unsigned release replaces the signed one")
            elif stays:
                reporter.warn(f"{out / RELEASE_ENVELOPE}: signs another {RELEASE_FILE} or nothing, and was removed")
        demand_replaceable(out)
        replace_folder_durably(folder, out)
        return Published(changed=True, signed=RELEASE_ENVELOPE in self._files)


def holds_signature(out: Path) -> bool:
    """Return whether RELEASE.json.dsse in `out` is an envelope over RELEASE.json there. Nothing is verified."""
    try:
        document = read_bounded(out / RELEASE_FILE, MAX_RELEASE_BYTES)
        return is_envelope_of(IN_TOTO_TYPE, document, read_bounded(out / RELEASE_ENVELOPE, MAX_SIGNED_BYTES))
    except (OSError, CosmosError):
        return False


def demand_replaceable(out: Path) -> None:
    """Raise `WorldFailed` if a release may not replace `out`: it is no folder, or holds what no release consists of.

    Also if `out` lies in another release.
    """
    elsewhere = "choose another folder: --out FOLDER"
    for above in real(out).parents:
        if all((above / name).is_file() for name in (RELEASE_FILE, MANIFEST_FILE)):
            raise WorldFailed(str(out), f"lies in the release {above}, which a folder more would spoil", hint=elsewhere)
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise WorldFailed(str(out), "is not a folder, and cosmos does not replace it", hint=elsewhere)
    names = sorted(file.name for file in out.iterdir()) if out.is_dir() else []
    if names and not (out / RELEASE_FILE).is_file():
        raise WorldFailed(
            str(out), "is not empty and is not a release; cosmos deletes only files that it made", hint=elsewhere
        )
    own = _named_by(out, names) if names else frozenset()
    strangers = [name for name in names if name not in own]
    if strangers:
        raise WorldFailed(
            str(out / strangers[0]),
            "is not part of the release beside it, and a new release would replace the whole folder",
            hint=f"move it out of {out}",
        )


def _named_by(out: Path, names: Iterable[str]) -> frozenset[str]:
    """Return the names that the release in `out` consists of; of a damaged one, those of all its files."""
    fixed = {RELEASE_FILE, RELEASE_ENVELOPE, REQUEST_FILE, SIGNATURE_FILE}
    try:
        release = Release.parse(read_bounded(out / RELEASE_FILE, MAX_RELEASE_BYTES), RELEASE_FILE)
    except Malformed:
        return frozenset(name for name in names if (out / name).is_file())
    return frozenset(fixed | {subject.name for subject in release.subjects})


@contextlib.contextmanager
def draft_beside(out: Path) -> Iterator[FolderDraft]:
    """Give an empty draft on the file system of `out`, after removing the leftovers of dead builds beside `out`.

    Raises `WorldFailed`.
    """
    import shutil  # with all that the two load they take 6 ms, which a freeze need not wait for
    import tempfile

    out = out.absolute()
    with blaming(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(out)
    while True:
        with blaming(out.parent):
            place = Path(tempfile.mkdtemp(prefix=draft_prefix(out.name), dir=out.parent))
        with alone_if_free(place / DRAFT_MARK) as is_ours:
            if not is_ours or not (place / DRAFT_MARK).is_file():
                continue  # another build swept it in the moment before it was locked
            try:
                yield FolderDraft(place / "release", out)
            finally:
                shutil.rmtree(place, ignore_errors=True)
            return


def sweep_beside(out: Path) -> None:
    """Remove the folders that killed builds into `out` left beside it. The folder of a living build stays."""
    import shutil  # as above

    out = out.absolute()
    for draft in sorted(out.parent.glob(f"{glob.escape(draft_prefix(out.name))}*")):
        if draft.is_symlink() or not (draft / DRAFT_MARK).is_file():
            _remove_unmarked(draft, draft_prefix(out.name))
            continue
        with alone_if_free(draft / DRAFT_MARK) as is_dead:
            if is_dead:
                shutil.rmtree(draft, ignore_errors=True)


def _remove_unmarked(draft: Path, prefix: str) -> None:
    """Remove the folder of a build that was killed before it had marked the folder."""
    with contextlib.suppress(OSError):  # it is not empty, or gone
        held = draft.lstat()
        is_private = stat.S_IMODE(held.st_mode) == 0o700 and held.st_uid == os.geteuid()
        if is_private and _TAIL.fullmatch(draft.name.removeprefix(prefix)):
            draft.rmdir()


def _same_files(one: Path, other: Path, *, but: str) -> bool:
    """Return whether two folders hold the same plain files, with the same bytes and modes. `but` does not count.

    A link in the place of a file is no part of a release, whatever it leads to.
    """
    import filecmp  # as above

    names = sorted(file.name for file in one.iterdir() if file.name != but)
    if names != sorted(file.name for file in other.iterdir() if file.name != but):
        return False
    return all(
        (one / name).lstat().st_mode == (other / name).lstat().st_mode
        and filecmp.cmp(one / name, other / name, shallow=False)
        for name in names
    )
