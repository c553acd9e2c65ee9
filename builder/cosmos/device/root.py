"""`LiveRoot`: the tree of a system on disk. No path under it leads outside.

Every path under it is opened by openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS. So an absolute link or a `..`
in the tree means the same as after chroot. A system under `--root DIR` cannot lead a writer out of DIR, even if
somebody replaces its folders by links while we work.

Writing, renaming and removing are stricter. The path is first mapped: links in its folders are followed (`/bin` to
`usr/bin`). Then it is used with RESOLVE_NO_SYMLINKS. If a folder has become a link in between, that is an error.

A kernel without openat2 (before 5.6, or hidden by a container) is refused, because no other call is safe.

`LiveFolder` gives a folder of the system to code that also works on a builder's folders (`folders`).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from cosmos.device.kernel import RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, Kernel
from cosmos.durable import drafted_in
from cosmos.errors import Malformed, Refused, WorldFailed, likely_cause, quoted
from cosmos.folders import Folder
from cosmos.links import TooManyLinks, followed
from cosmos.reading import read_within
from cosmos.records import dataclass
from cosmos.treepath import TreePath

_TEMPORARY: Final = re.compile(rb"\.cosmos-(?:document|[0-9]+-[0-9]+\.tmp)")  # of a killed writer, also an older one
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_GONE: Final = (errno.ENOENT, errno.ENOTDIR)


class LiveRoot:
    """One system's root folder. Close it, or use it as a context."""

    __slots__ = ("_descriptor", "_mapped", "kernel", "may_chown", "path")

    def __init__(self, path: Path, descriptor: int, kernel: Kernel, *, may_chown: bool) -> None:
        self.path = path
        self.kernel = kernel
        self.may_chown = may_chown
        self._descriptor = descriptor
        self._mapped: dict[TreePath, TreePath] = {}

    @classmethod
    def open(cls, path: Path, kernel: Kernel | None = None) -> Self:
        """Return the system at `path`. Raises `Malformed` if it is not a folder, `WorldFailed` without openat2."""
        calls = kernel or Kernel()
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            problem = f"is no cosmos system: {(error.strerror or 'no folder').lower()}"
            raise Malformed(str(path), problem, hint="name a folder that is there; mkdir makes one") from error
        except OSError as error:
            problem = (error.strerror or "cannot be opened").lower()
            raise WorldFailed(str(path), problem, hint=likely_cause(error)) from error
        try:
            os.close(calls.open_inside(descriptor, b".", os.O_PATH | os.O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS))
        except OSError as error:
            os.close(descriptor)
            raise WorldFailed(
                str(path),
                f"openat2 does not work here ({(error.strerror or 'it failed').lower()}), and no other call is safe",
                hint="use Linux 5.6 or newer; in a container, let its seccomp filter pass openat2",
            ) from error
        return cls(path, descriptor, calls, may_chown=os.geteuid() == 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def option(self) -> str:
        """The option `--root` for a command in a hint; an empty text for the running system."""
        return "" if self.path == Path("/") else f" --root {quoted(self.path)}"

    def pasted(self, path: TreePath, end: bytes = b"") -> str:
        """Return `path` and `end` as a word of a command in a hint: the name that this machine has for it.

        A name with a control character stands there as it is shown: it could break the line that is pasted.
        """
        whole = TreePath(bytes(path) + end)
        name = os.fsdecode(whole)
        place = f"/{name}" if name.isprintable() else shown(whole)
        return quoted(f"{'' if self.path == Path('/') else self.path}{place}")

    @property
    def keeps_owners(self) -> bool:
        """Whether entries here should have the owners that their stars name.

        An ordinary user who installs a system into their own folder cannot give files away.
        """
        held = os.fstat(self._descriptor)
        return held.st_uid == 0 or os.path.samestat(held, Path("/").stat())

    # --- reading: links are followed, inside the root

    def stat(self, path: TreePath) -> os.stat_result | None:
        """Return the status of the entry at `path`, of a link itself; None if it is missing. Raises `WorldFailed`."""
        try:
            descriptor = self.kernel.open_inside(self._descriptor, path or b".", os.O_PATH | os.O_NOFOLLOW, resolve=0)
            try:
                return os.fstat(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise _failure(path, error) from error

    def link_target(self, path: TreePath) -> bytes:
        """Return the text of the link at `path`."""
        with naming(path), self._opened(path, os.O_PATH | os.O_NOFOLLOW) as descriptor:
            return os.readlink(b"", dir_fd=descriptor)

    @contextmanager
    def file(self, path: TreePath) -> Iterator[int]:
        """Open the regular file at `path` for reading; never waits on a fifo. Raises `OSError`."""
        with self._opened(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "is no regular file", path)
            yield descriptor

    def document(self, path: TreePath, *, max_bytes: int) -> bytes | None:
        """Return the bytes of the document at `path`, or None if the document is missing.

        Raises `Malformed` if it is not a regular file, or is longer than `max_bytes`.
        """
        with self.stream(path, max_bytes=max_bytes) as stream:
            if stream is None:
                return None
            with naming(path):
                data = read_within(stream, max_bytes)
        if len(data) > max_bytes:
            raise Malformed(shown(path), f"has more than {max_bytes} bytes")
        return data

    @contextmanager
    def stream(self, path: TreePath, *, max_bytes: int) -> Iterator[BinaryIO | None]:
        """Open the document at `path` to read it piece by piece; give None if the document is missing.

        Raises `Malformed` if it is not a regular file, or is longer than `max_bytes`.
        """
        with naming(path):
            try:
                opened = self.open_below(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                opened = -1
        if opened == -1:
            yield None
            return
        try:
            held = os.fstat(opened)
            if not stat.S_ISREG(held.st_mode):
                raise Malformed(shown(path), "is no regular file")
            if held.st_size > max_bytes:
                raise Malformed(shown(path), f"has more than {max_bytes} bytes")
            with open(opened, "rb", closefd=False) as stream:
                yield stream
        finally:
            os.close(opened)

    def names(self, path: TreePath) -> list[bytes]:
        """Return the names in the folder at `path`, sorted; an empty list if there is no folder."""
        with naming(path):
            try:
                with self._opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
                    return sorted(os.fsencode(entry.name) for entry in os.scandir(descriptor))
            except OSError as error:
                if error.errno in _GONE:
                    return []
                raise

    def is_mount(self, path: TreePath) -> bool:
        """Return whether something is mounted at the folder at the mapped `path`, also a part of the same disk."""
        if not path:
            return False
        try:
            with self._opened(path.parent, _FOLDER) as above:
                flags, resolve = os.O_PATH | os.O_DIRECTORY, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
                os.close(self.kernel.open_inside(above, path.name, flags, resolve=resolve))
        except OSError as error:
            return error.errno == errno.EXDEV
        return False

    # --- where things go

    def mapped(self, path: TreePath, past: Collection[TreePath] = ()) -> TreePath:
        """Return the real path of `path`: links among its folders are followed inside the root, those of `past` not.

        If `/bin` is a link to `usr/bin`, `bin/ls` becomes `usr/bin/ls`. Folders that do not exist yet stay unchanged.
        The answer gives no protection by itself: a writer opens the path again, without following any link.
        """
        return TreePath(b"/".join(part for part in (self.mapped_folder(path.parent, past), path.name) if part))

    def mapped_folder(self, path: TreePath, past: Collection[TreePath] = ()) -> TreePath:
        """Return the real path of the folder `path`: like `mapped`, but its last component is followed too."""
        return self._walked(path, past) if past else self._real_folder(path)

    def below(self, path: TreePath) -> Folder:
        """Return the folder at `path` for code that also works on folders outside a root."""
        return Folder(LiveFolder(self, path))

    def open_below(self, path: TreePath, flags: int) -> int:
        """Return a descriptor of what is at `path`, which is not mapped and may have `..` in it. Raises `OSError`."""
        return self.kernel.open_inside(self._descriptor, path or b".", flags, resolve=0)

    def links_to(self, path: TreePath) -> frozenset[TreePath]:
        """Return the links through which `path` leads to its folder or file, each at its real path."""
        links = set[TreePath]()

        def target_of(here: TreePath, _rest: object) -> bytes | None:
            target = self.link_or_none(here)
            if target is not None:
                links.add(here)
            return target

        followed(path, target_of)
        return frozenset(links)

    def _real_folder(self, folder: TreePath) -> TreePath:
        if folder not in self._mapped:
            self._mapped[folder] = self._walked(folder, ())
        return self._mapped[folder]

    def _walked(self, folder: TreePath, past: Collection[TreePath]) -> TreePath:
        try:
            return followed(folder, lambda path, _rest: None if path in past else self.link_or_none(path))
        except TooManyLinks as error:
            raise WorldFailed(shown(folder), "its links lead in a circle") from error

    def link_or_none(self, path: TreePath) -> bytes | None:
        """Return the text of the link at `path`, or None if there is no link."""
        found = self.stat(path)
        return self.link_target(path) if found is not None and stat.S_ISLNK(found.st_mode) else None

    # --- writing: paths are mapped ones, and no link is followed

    @contextmanager
    def folder(self, path: TreePath) -> Iterator[int]:
        """Open the folder at the mapped `path` for changes in it; raises `Refused` if the path has a link in it."""
        try:
            with naming(path):
                descriptor = self.kernel.open_inside(
                    self._descriptor, path or b".", _FOLDER, resolve=RESOLVE_NO_SYMLINKS
                )
        except WorldFailed as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ELOOP:
                raise Refused(shown(path), "became a link while cosmos was at work") from error
            raise
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def make_folders(self, path: TreePath, mode: int = 0o755) -> None:
        """Make the folder at the mapped `path`, and missing folders above it, durably. This user owns them."""
        for step in (*path.parents, path):
            if self.stat(step) is None:
                self._make_folder_at_once(step, mode)
                with self.folder(step.parent) as above, naming(step):
                    os.fsync(above)

    def _make_folder_at_once(self, path: TreePath, mode: int) -> None:
        """Make one folder, unless another process has just made it."""
        try:
            self.make_folder(path, mode)
        except WorldFailed as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            self._mapped.clear()

    def make_folder(self, path: TreePath, mode: int) -> None:
        """Make one folder; `FileExistsError` becomes `WorldFailed`."""
        with self.folder(path.parent) as above, naming(path):
            os.mkdir(path.name, 0o700, dir_fd=above)
            made = self.kernel.open_inside(above, path.name, _FOLDER, resolve=RESOLVE_NO_SYMLINKS)
            try:
                os.fchmod(made, mode)
            finally:
                os.close(made)
        self._mapped.clear()

    def replace_document(self, path: TreePath, data: bytes, *, mode: int = 0o644) -> None:
        """Write `data` to `path`. A power cut leaves the old document or the new one."""
        place = self.mapped(path)
        self.make_folders(place.parent)
        with self.folder(place.parent) as above, naming(place), drafted_in(above, mode) as draft:
            draft.stream.write(data)
            draft.keep_in(above, place.name)

    def remove_half_written(self, folder: TreePath) -> None:
        """Remove the temporary files that killed writers left in `folder`. The caller is the only writer there."""
        place = self.mapped_folder(folder)
        left = [name for name in self.names(place) if _TEMPORARY.fullmatch(name)]
        for name in left:
            self.remove(place.joined(name))

    def remove(self, path: TreePath) -> None:
        """Remove the entry at the mapped `path`, which is not a folder. A missing entry is no error."""
        if self.stat(path) is None:  # asked first: a file system that is read-only refuses to remove what is missing
            return
        with self.folder(path.parent) as above, naming(path):
            try:
                os.unlink(path.name, dir_fd=above)
            except FileNotFoundError:
                return

    def remove_empty_folder(self, path: TreePath) -> bool:
        """Remove the folder at the mapped `path` if it is empty; return whether it is gone."""
        if self.stat(path) is None:
            return True
        with self.folder(path.parent) as above, naming(path):
            try:
                os.rmdir(path.name, dir_fd=above)
            except FileNotFoundError:
                return True
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    return False
                raise
        self._mapped.clear()
        return True

    @contextmanager
    def _opened(self, path: TreePath, flags: int) -> Iterator[int]:
        descriptor = self.kernel.open_inside(self._descriptor, path or b".", flags, resolve=0)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class LiveFolder:
    """The way to the folder `base` of a system, for `folders.Folder`: no link leads it out of the system's root."""

    root: LiveRoot
    base: TreePath

    def open(self, below: str, flags: int) -> int:
        """Return a descriptor of a file or folder. Raises `OSError`."""
        return self.root.open_below(self._at(below), flags)

    def make_folder(self, below: str) -> None:
        """Make a folder and those above it, durably. Raises `WorldFailed`."""
        self.root.make_folders(self.root.mapped_folder(self._at(below)))

    def demand_folder_or_nothing(self, below: str) -> None:
        """Raise `WorldFailed` if something else than a folder is there."""
        with naming(self._at(below)), suppress(FileNotFoundError):
            os.close(self.open(below, os.O_PATH | os.O_NOFOLLOW))
            try:
                os.close(self.open(below, os.O_PATH | os.O_DIRECTORY))
            except FileNotFoundError as error:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error  # a link to nothing

    def shown(self, below: str) -> Path:
        """Return the path of a folder or file, for messages alone."""
        return self.root.path / os.fsdecode(self._at(below))

    def _at(self, below: str) -> TreePath:
        return TreePath(b"/".join(part for part in (self.base, os.fsencode(below)) if part))


@contextmanager
def naming(path: TreePath) -> Iterator[None]:
    """Raise `WorldFailed` that names `path` in place of an `OSError`."""
    try:
        yield
    except OSError as error:
        raise _failure(path, error) from error


def _failure(path: TreePath, error: OSError) -> WorldFailed:
    problem = (error.strerror or "the system call failed").lower()
    return WorldFailed(shown(path), problem, hint=likely_cause(error))


def shown(path: TreePath) -> str:
    """Return `path` with its leading slash, as people write it.

    >>> shown(TreePath(b"etc/fstab"))
    '/etc/fstab'
    """
    return f"/{path.text}"
