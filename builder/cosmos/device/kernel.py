"""The Linux calls that Python lacks: openat2, renameat2 with RENAME_NOREPLACE or RENAME_EXCHANGE, syncfs, and chmod and
chown of an entry that is open as O_PATH.

Sources: openat2(2), rename(2), syncfs(2), fchmodat2(2), fchownat(2) of the Linux man-pages;
`include/uapi/linux/openat2.h` and `fs.h`. The numbers of openat2 and fchmodat2, 437 and 452, are the same on every
architecture (alpha excepted, where cosmos does not run).
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_SYS_OPENAT2: Final = 437
_SYS_FCHMODAT2: Final = 452
_AT_EMPTY_PATH: Final = 0x1000  # linux/fcntl.h: the entry of the descriptor itself
_NO_SUCH_CALL: Final = (errno.ENOSYS, errno.EPERM)  # an older kernel; a container's filter that does not know the call
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
RESOLVE_NO_XDEV: Final = 0x01  # no other file system: EXDEV where something is mounted
RESOLVE_NO_MAGICLINKS: Final = 0x02  # no /proc/PID/fd/… on the way
RESOLVE_NO_SYMLINKS: Final = 0x04  # no link at all, in no component
RESOLVE_IN_ROOT: Final = 0x10  # `/` and `..` mean the root's, as after chroot
_MAX_RACES: Final = 64  # EAGAIN: somebody renamed folders while the kernel walked; more is an attack or a storm


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_BYTES: Final = ctypes.sizeof(_OpenHow)


class Kernel:
    """The calls, as methods, so that a test can stand in for a kernel without them. All raise `OSError`."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        self._openat2 = self._libc["syscall"]  # a function object of its own: its types are said once
        self._openat2.restype = ctypes.c_long
        self._openat2.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
        self._hows: dict[tuple[int, int, int], _OpenHow] = {}  # the kernel only reads them

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        """Return a descriptor of `path` below `folder`; no step of the walk leaves it. Raises `OSError`."""
        asked = (flags, mode, resolve)
        how = self._hows.get(asked)
        if how is None:
            allowed = resolve | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
            how = self._hows[asked] = _OpenHow(flags | os.O_CLOEXEC, mode, allowed)
        place = ctypes.byref(how)
        for _ in range(_MAX_RACES):
            found: int = self._openat2(_SYS_OPENAT2, folder, path, place, _HOW_BYTES)
            if found >= 0:
                return found
            if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)

    def rename_new(self, folder: int, old: bytes, new: bytes) -> None:
        """Rename `old` to `new`, both in `folder`; raises `FileExistsError` where `new` is taken, even by a race.

        Raises another `OSError` where the kernel refuses for another reason.
        """
        if self._libc.renameat2(folder, old, folder, new, ctypes.c_uint(_RENAME_NOREPLACE)) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), new)
        # NFS and a few more have no such flag; a hard link refuses a taken name as well
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(old, dir_fd=folder)

    def exchange(self, folder: int, one: bytes, other: bytes) -> None:
        """Let the two names in `folder` change places in one step: each is there at any moment, the old or the new.

        Raises `OSError`: EINVAL on a file system that cannot (NFS, vfat before Linux 6.0). Two steps would not do.
        """
        if self._libc.renameat2(folder, one, folder, other, ctypes.c_uint(_RENAME_EXCHANGE)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), other)

    def chown_held(self, held: int, uid: int, gid: int) -> None:
        """Set the owner of the entry that is open as `held`, also as O_PATH: of a link itself. Raises `OSError`."""
        if self._libc.fchownat(held, b"", ctypes.c_uint(uid), ctypes.c_uint(gid), _AT_EMPTY_PATH) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def chmod_held(self, held: int, mode: int) -> None:
        """Set the mode of the entry that is open as `held`, also as O_PATH. Raises `OSError`.

        A kernel before Linux 6.6 has no such call; there the entry is named by its descriptor in `/proc`.
        """
        done: int = self._libc.syscall(
            ctypes.c_long(_SYS_FCHMODAT2),
            ctypes.c_long(held),
            ctypes.c_char_p(b""),
            ctypes.c_long(mode),
            ctypes.c_long(_AT_EMPTY_PATH),
        )
        if done == 0:
            return
        code = ctypes.get_errno()
        if code not in _NO_SUCH_CALL:
            raise OSError(code, os.strerror(code))
        os.chmod(named_by(held), mode)  # noqa: PTH101 a name in /proc is for the kernel

    def sync_file_system(self, descriptor: int) -> None:
        """Bring everything that was written to this descriptor's file system to its disk.

        Raises `OSError` where the disk fails; this is where a full disk shows late (ENOSPC).
        """
        if self._libc.syncfs(ctypes.c_int(descriptor)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def named_by(held: int) -> str:
    """Return a path that the kernel takes for the entry that is open as `held`. Raises `OSError` without /proc."""
    name = f"/proc/self/fd/{held}"
    if not os.path.lexists(name):
        raise OSError(errno.EOPNOTSUPP, "this needs /proc, which is not mounted")
    return name
