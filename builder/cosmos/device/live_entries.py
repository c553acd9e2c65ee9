"""One entry of a live root: read its identity, make it under a temporary name, set its attributes.

All paths are mapped (see `LiveRoot`), so no call follows a link.

Only root sets owners and capabilities. An ordinary user who installs a system into their own folder gets everything
else. They cannot make a device node at all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, assert_never

from cosmos.content import content_digest, pieces
from cosmos.device.kernel import RESOLVE_NO_SYMLINKS, named_by
from cosmos.device.root import LiveRoot, naming
from cosmos.digest import Digest
from cosmos.model.changes import Attributes, Identity
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_PRIVATE: Final = 0o600  # until its owner is set, nobody else reads what may become a setuid file or a secret
_NANOSECONDS: Final = 1_000_000_000
_NOTHING: Final = Digest.of(b"")
_SET_ID: Final = 0o6000  # the bits that the kernel takes away when the owner changes
_OF_USERS: Final = b"user."  # the only extended attributes that an ordinary user may set
FORMATS: Final = {  # of an entry's kind, in st_mode
    "file": stat.S_IFREG,
    "hardlink": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}
_SOCKET: Final = "socket"  # no star brings one; a program may have put one there
_KINDS: Final = {stat.S_IFSOCK: _SOCKET, **{number: kind for kind, number in FORMATS.items() if kind != "hardlink"}}


# --- what an entry is


def identity_of(entry: Entry, shared: Digest | None = None) -> Identity:
    """Return the identity that `entry` will have; `shared` is the digest of the file behind a hard link."""
    attributes = Attributes(mode=entry.mode, uid=entry.uid, gid=entry.gid, xattrs=tuple(sorted(entry.xattrs)))
    return Identity(kind=entry.kind, digest=shared or _digest_of(entry), attributes=attributes)


def found_identity(root: LiveRoot, path: TreePath) -> Identity | None:
    """Return the identity of the entry at `path`, with the digest of its content; None if there is no entry."""
    found = root.stat(path)
    if found is None:
        return None
    kind = _KINDS[stat.S_IFMT(found.st_mode)]
    return Identity(kind=kind, digest=_found_digest(root, path, kind, found), attributes=_attributes(root, path, found))


def found_attributes(root: LiveRoot, path: TreePath, kind: str) -> Attributes | None:
    """Return the attributes of the entry at `path`, or None if there is no entry of this `kind`."""
    found = root.stat(path)
    if found is None or stat.S_IFMT(found.st_mode) != FORMATS[kind]:
        return None
    return _attributes(root, path, found)


def holds(root: LiveRoot, path: TreePath, wanted: Identity) -> bool:
    """Return whether the entry at `path` has the kind and content of `wanted`. Attributes do not count."""
    found = root.stat(path)
    if found is None or stat.S_IFMT(found.st_mode) != FORMATS[wanted.kind]:
        return False
    return _found_digest(root, path, wanted.kind, found) == wanted.digest


def is_same(root: LiveRoot, found: Identity, wanted: Identity) -> bool:
    """Return whether `found` is `wanted`, including the attributes that this user can set."""
    kind = "file" if wanted.kind == "hardlink" else wanted.kind
    if (found.kind, found.digest) != (kind, wanted.digest):
        return False
    if found.attributes is None or wanted.attributes is None:
        return True
    return same_attributes(root, found.attributes, wanted.attributes, kind)


def same_attributes(root: LiveRoot, found: Attributes, wanted: Attributes, kind: str) -> bool:
    """Return whether `found` has those attributes of `wanted` that this user can set."""
    return _settable(root, found, wanted.xattrs, kind) == _settable(root, wanted, wanted.xattrs, kind)


def is_between(root: LiveRoot, found: Attributes, old: Attributes, new: Attributes, kind: str) -> bool:
    """Return whether a change from `old` to `new` that stopped somewhere can have left `found`."""
    modes = {mode & ~bits for mode in (old.mode, new.mode) for bits in (0, _SET_ID)}
    owners = (found.uid in (old.uid, new.uid) and found.gid in (old.gid, new.gid)) or not root.may_chown
    held, before, after = dict(found.xattrs), dict(old.xattrs), dict(new.xattrs)
    xattrs = all(held.get(name) in (before.get(name), after.get(name), None) for name in {**before, **after})
    return (kind == "symlink" or found.mode in modes) and owners and xattrs


# --- changes of attributes


def set_attributes(root: LiveRoot, path: TreePath, kind: str, old: Attributes, new: Attributes) -> int:
    """Set the attributes of the entry at `path` to `new`; return the number of those that only root can set.

    Extended attributes that only `old` names are removed; all others stay. The owner is set first, because the kernel
    then clears setuid bits and capabilities; the next calls set them. Raises `OSError` as `WorldFailed`.
    """
    unset = 0
    with root.folder(path.parent) as folder, naming(path):
        opened = root.kernel.open_inside(folder, path.name, os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_NO_SYMLINKS)
        try:
            if stat.S_IFMT(os.fstat(opened).st_mode) != FORMATS[kind]:
                raise OSError(errno.EINVAL, f"is no {kind} any more")
            if root.may_chown:
                root.kernel.chown_held(opened, new.uid, new.gid)
            elif (new.uid, new.gid) != (old.uid, old.gid):
                unset += 1
            if kind != "symlink":
                root.kernel.chmod_held(opened, new.mode)
            if old.xattrs or new.xattrs:
                with _readable(root, folder, path.name, opened) as held:
                    unset += _change_xattrs(root, held, old.xattrs, new.xattrs)
        finally:
            os.close(opened)
    return unset


def sync_attributes(root: LiveRoot, path: TreePath) -> None:
    """Bring the attributes of the file or folder at `path` to the disk."""
    with root.folder(path.parent) as folder, naming(path):
        opened = root.kernel.open_inside(
            folder, path.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW, resolve=RESOLVE_NO_SYMLINKS
        )
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


# --- new entries


def make_entry(root: LiveRoot, folder: int, name: bytes, entry: Entry, linked: TreePath) -> int:
    """Make `entry` under the new name `name` in `folder`; return the number of attributes that only root can set.

    `linked` is the present path of the file behind a hard link. Raises `OSError`. A folder is an `AssertionError`:
    `make_folder` makes folders.
    """
    match entry.kind:
        case "file":
            return _make_file(root, folder, name, entry)
        case "symlink":
            os.symlink(bytes(entry.target), name, dir_fd=folder)
            return _dress(root, folder, name, entry)
        case "hardlink":
            with root.folder(linked.parent) as source:
                os.link(linked.name, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            return 0
        case "char" | "block" | "fifo":
            os.mknod(name, FORMATS[entry.kind] | entry.mode, os.makedev(*(entry.rdev or (0, 0))), dir_fd=folder)
            unset = _dress(root, folder, name, entry)
            _demand_mode(root, folder, name, entry.mode)
            return unset
        case "dir":
            raise AssertionError(f"{entry.path.text}: folders are made first")
        case _:
            assert_never(entry.kind)


def make_folder(root: LiveRoot, entry: Entry) -> int:
    """Make the folder `entry` under its own name; return the number of attributes that only root can set."""
    root.make_folder(entry.path, entry.mode)
    unset = _not_owned(root, entry)
    if root.may_chown or entry.xattrs:
        with root.folder(entry.path) as made, naming(entry.path):
            if root.may_chown:
                os.fchown(made, entry.uid, entry.gid)
                os.fchmod(made, entry.mode)
            for attribute, value in entry.xattrs:
                unset += _set_attribute(root, made, attribute, value)
    return unset


def set_time(root: LiveRoot, folder: Entry) -> None:
    """Set the time of a new folder, after everything in it was made."""
    with root.folder(folder.path) as made, naming(folder.path):
        os.utime(made, ns=(folder.mtime * _NANOSECONDS,) * 2)


def _make_file(root: LiveRoot, folder: int, name: bytes, entry: Entry) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, _PRIVATE, dir_fd=folder)
    unset = _not_owned(root, entry)
    try:
        for piece in pieces(entry.content):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        if root.may_chown:
            os.fchown(descriptor, entry.uid, entry.gid)  # before the mode: it clears setuid
        os.fchmod(descriptor, entry.mode)
        for attribute, value in entry.xattrs:
            unset += _set_attribute(root, descriptor, attribute, value)
        os.utime(descriptor, ns=(entry.mtime * _NANOSECONDS,) * 2)
    finally:
        os.close(descriptor)
    return unset


def _demand_mode(root: LiveRoot, folder: int, name: bytes, mode: int) -> None:
    """Give a device or fifo exactly its mode."""
    made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_IMODE(os.fstat(made).st_mode) != mode:  # the process's umask took bits away, or the new owner did
            root.kernel.chmod_held(made, mode)
    finally:
        os.close(made)


def _dress(root: LiveRoot, folder: int, name: bytes, entry: Entry) -> int:
    if root.may_chown:
        os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime * _NANOSECONDS,) * 2, dir_fd=folder, follow_symlinks=False)
    return _not_owned(root, entry)


def _not_owned(root: LiveRoot, entry: Entry) -> int:
    return int(not root.may_chown and (entry.uid, entry.gid) != (os.geteuid(), os.getegid()))


def _set_attribute(root: LiveRoot, held: int | str, name: bytes, value: bytes) -> int:
    """Set an extended attribute; return 1 if only root can set it and this user is not root."""
    try:
        os.setxattr(held, name, value)
    except OSError as error:
        return _roots_alone(root, error)
    return 0


def _change_xattrs(
    root: LiveRoot,
    held: int | str,
    old: tuple[tuple[bytes, bytes], ...],
    new: tuple[tuple[bytes, bytes], ...],
) -> int:
    """Set the attributes `new`, and remove those that only `old` has; return how many only root could change."""
    removed = sum(_remove_attribute(root, held, name) for name in dict(old).keys() - dict(new).keys())
    return removed + sum(_set_attribute(root, held, name, value) for name, value in new)


@contextmanager
def _readable(root: LiveRoot, folder: int, name: bytes, opened: int) -> Iterator[int | str]:
    """Give the entry that is open as O_PATH in a form that calls about extended attributes take. Raises `OSError`.

    That is a descriptor of the same file or folder. An entry that this user may not read, or that would do something
    when it is opened, has a name in `/proc` alone.
    """
    held = os.fstat(opened)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
    again = -1
    if stat.S_ISREG(held.st_mode) or stat.S_ISDIR(held.st_mode):
        with suppress(PermissionError):
            again = root.kernel.open_inside(folder, name, flags, resolve=RESOLVE_NO_SYMLINKS)
    if again == -1:
        yield named_by(opened)
        return
    try:
        if not os.path.samestat(os.fstat(again), held):
            raise OSError(errno.ESTALE, "somebody replaced it while cosmos was at work")
        yield again
    finally:
        os.close(again)


def _remove_attribute(root: LiveRoot, held: int | str, name: bytes) -> int:
    try:
        os.removexattr(held, name)
    except OSError as error:
        return 0 if error.errno == errno.ENODATA else _roots_alone(root, error)
    return 0


def _roots_alone(root: LiveRoot, error: OSError) -> int:
    if error.errno != errno.EPERM or root.may_chown:
        raise error
    return 1


def _digest_of(entry: Entry) -> Digest:
    match entry.kind:
        case "file":
            return content_digest(entry.content)
        case "symlink":
            return Digest.of(entry.target)
        case "char" | "block":
            return _number_digest(*(entry.rdev or (0, 0)))
        case "fifo" | "dir" | "hardlink":
            return _NOTHING


def _found_digest(root: LiveRoot, path: TreePath, kind: str, found: os.stat_result) -> Digest:
    if kind == "symlink":
        return Digest.of(root.link_target(path))
    if kind in ("char", "block"):
        return _number_digest(os.major(found.st_rdev), os.minor(found.st_rdev))
    if kind in ("fifo", "dir", _SOCKET):
        return _NOTHING
    with naming(path), root.file(path) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        return Digest.of_stream(stream)


def _number_digest(major: int, minor: int) -> Digest:
    return Digest.of(f"{major}:{minor}".encode())


def _attributes(root: LiveRoot, path: TreePath, found: os.stat_result) -> Attributes:
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        xattrs = _xattrs(root, path)
    return Attributes(mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid, xattrs=xattrs)


def _xattrs(root: LiveRoot, path: TreePath) -> tuple[tuple[bytes, bytes], ...]:
    with root.folder(path.parent) as folder, naming(path):
        opened = root.kernel.open_inside(folder, path.name, os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_NO_SYMLINKS)
        try:
            with _readable(root, folder, path.name, opened) as held:
                return tuple(sorted((os.fsencode(name), os.getxattr(held, name)) for name in os.listxattr(held)))
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return ()
            raise
        finally:
            os.close(opened)


def _settable(
    root: LiveRoot, held: Attributes, named: tuple[tuple[bytes, bytes], ...], kind: str
) -> tuple[int | None, tuple[int, int] | None, tuple[tuple[bytes, bytes | None], ...]]:
    """Return the part of `held` that this user can set: mode, owner, and the extended attributes `named`."""
    names = sorted(name for name, _ in named if root.may_chown or name.startswith(_OF_USERS))
    values = dict(held.xattrs)
    return (
        None if kind == "symlink" else held.mode,
        (held.uid, held.gid) if root.may_chown else None,
        tuple((name, values.get(name)) for name in names),
    )
