"""Rules on one entry, and on the few files whose place says what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cosmos.content import Content, FileRange
from cosmos.records import dataclass
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.rules import RuleId
from cosmos.release.lint.secret_text import Sieve, first_matches
from cosmos.tree.entry import Entry

_HEAD_BYTES: Final = 1 << 20  # of a file of accounts or an id, that is read; thousands of accounts have less
_SMALL_BYTES: Final = 64 << 10  # of a file that is searched together with others
_TOGETHER_BYTES: Final = 1 << 20  # of them: the second sieve finds them in the processor's cache
_TOGETHER_ENTRIES: Final = 1000
_MACHINE_IDS: Final = (b"etc/machine-id", b"var/lib/dbus/machine-id")
_NO_ID: Final = (b"", b"uninitialized")  # machine-id(5)
_HOST_KEY: Final = re.compile(rb"etc/(?:ssh/ssh_host_[^/]*_key|dropbear/dropbear_[^/]*host_key)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """What the owner of an entry may do by the image's policy: ship set-user-ID files, open files to everybody."""

    setuid: bool
    open_to_all: bool


def rights(entry: Entry, epoch: int | None, allowed: Allowed) -> Iterator[tuple[RuleId, str]]:
    """Yield what is wrong with the time and the mode of an entry. Without an epoch, times are not judged."""
    if epoch is not None and entry.mtime > epoch:
        yield "stray-time", f"is of {entry.mtime}, the image is of {epoch}"
    if entry.kind in ("file", "hardlink") and entry.mode & 0o6000 and not allowed.setuid:
        whose = " and ".join(name for bit, name in ((0o4000, "owner"), (0o2000, "group")) if entry.mode & bit)
        yield "setuid", f"runs with the rights of its {whose} ({entry.mode:04o}, {entry.uid}:{entry.gid})"
    is_shared = entry.kind == "dir" and bool(entry.mode & 0o1000)
    can_be_open = entry.kind in ("file", "hardlink", "dir", "fifo", "block")  # everybody may write to /dev/null
    if can_be_open and entry.mode & 0o002 and not is_shared and not allowed.open_to_all:
        yield "world-writable", f"everybody may write to it ({entry.mode:04o})"


def sifted(entries: Iterable[Entry], wanted: Sequence[Sieve]) -> Iterator[tuple[Entry, Sequence[Sieve]]]:
    """Yield each entry with those of the sieves `wanted` that may find something in it.

    Small files are searched together: a call for each sieve and file would take longer than the search.
    """
    batch, size_bytes = list[Entry](), 0
    for entry in entries:
        batch.append(entry)
        size_bytes += entry.size
        if size_bytes >= _TOGETHER_BYTES or len(batch) >= _TOGETHER_ENTRIES:
            yield from _sifted(batch, wanted)
            batch, size_bytes = [], 0
    yield from _sifted(batch, wanted)


def _sifted(batch: Iterable[Entry], wanted: Sequence[Sieve]) -> Iterator[tuple[Entry, Sequence[Sieve]]]:
    small = b"\0".join(_searched(entry) for entry in batch if entry.size <= _SMALL_BYTES)
    some = tuple(sieve for sieve in wanted if sieve.form.search(small) is not None)
    for entry in batch:
        yield entry, some if entry.size <= _SMALL_BYTES else wanted


def _searched(entry: Entry) -> bytes | memoryview:
    if isinstance(entry.content, FileRange):
        return bytes(entry.content)
    return entry.content or entry.target


def secrets(entry: Entry, wanted: Iterable[Sieve]) -> Iterator[tuple[RuleId, str]]:
    """Yield the secrets and the builder's paths in a file, or in the target of a symlink."""
    if entry.kind == "symlink":
        for match in first_matches(entry.target, wanted):
            yield match.pattern.rule, f"its target has {match.pattern.what}"
        return
    if entry.kind != "file":
        return
    is_host_key = _HOST_KEY.fullmatch(entry.path) is not None and entry.size > 0
    if is_host_key:
        yield "ssh-host-key", "is a host key"
    for match in first_matches(entry.content, wanted):
        if not (is_host_key and match.pattern.rule == "private-key"):
            yield match.pattern.rule, f"has {match.pattern.what} at byte {match.offset:,}"


def identities(entry: Entry) -> Iterator[tuple[RuleId, str]]:
    """Yield a machine id, and accounts of user 0 without a password, of the files that hold them."""
    if entry.kind != "file":
        return
    if entry.path in _MACHINE_IDS and _head(entry.content).strip() not in _NO_ID:
        yield "machine-id", "holds an id"
    if entry.path == b"etc/passwd":
        for fields in _rows(entry.content):
            if len(fields) > 2 and fields[2].strip().lstrip(b"0") == b"" and fields[2] and not fields[1]:
                yield "root-without-password", f"the account {_shown(fields[0])} has no password"
    if entry.path == b"etc/shadow":
        for fields in _rows(entry.content):
            if len(fields) > 1 and fields[0] == b"root" and not fields[1]:
                yield "root-without-password", "the account root has no password"


def found(entry: Entry, star: str, problems: Iterable[tuple[RuleId, str]]) -> Iterator[Finding]:
    """Yield the findings of an entry's problems."""
    for rule, what in problems:
        yield Finding(path=entry.path, rule=rule, what=what, star=star)


def _head(content: Content) -> bytes:
    return bytes(content[:_HEAD_BYTES])


def _rows(content: Content) -> Iterator[list[bytes]]:
    for line in _head(content).splitlines():
        if line and not line.startswith(b"#"):
            yield line.split(b":")


def _shown(name: bytes) -> str:
    return name[:64].decode("ascii", "backslashreplace")
