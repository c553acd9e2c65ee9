"""`TreePath`: the path of an entry in a tree, relative to the tree's root.

A path is bytes, not text: names on Linux are bytes, and Debian ships some that are not UTF-8. A path has no leading or
trailing slash, no empty, `.` or `..` component, and no NUL. Everything that Cosmos writes is in byte order of paths.

The text form (`.text`) is used in TOML, JSON and on screens. It is UTF-8, but a backslash, a control character (also
one that reorders text) and a byte that is not UTF-8 are written `\\xNN`. It reads back exactly (`from_text`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Self

from cosmos.limits import MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_COMPONENTS

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_CONTROL = frozenset(range(0x20)) | {0x7F, 0x5C}
# U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069 in UTF-8: they reorder what a person reads
_BIDI = re.compile(rb"\xd8\x9c|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
_BIDI_CODES = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# Nearly every path that may be one.
_COMPONENT = rb"(?!\.\.?(?:/|\Z))[^/\0]{1,%d}" % MAX_NAME_BYTES
_PATH = re.compile(rb"%b(?:/%b){0,%d}" % (_COMPONENT, _COMPONENT, MAX_PATH_COMPONENTS - 1))
# What each character that is not shown as it is becomes: controls, a backslash; C1 controls, which can drive a
# terminal, and what reorders text there; and the bytes that are not UTF-8, as `surrogateescape` reads them.
_ESCAPED = {
    **{code: f"\\x{code:02x}" for code in _CONTROL},
    **{code: "".join(f"\\x{byte:02x}" for byte in chr(code).encode()) for code in (*range(0x80, 0xA0), *_BIDI_CODES)},
    **{0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)},
}


class TreePath(bytes):
    """A path inside a tree, checked once.

    >>> TreePath.parse(b"usr/bin/env").parent
    TreePath(b'usr/bin')
    >>> TreePath.parse("/usr//bin/./env")
    Traceback (most recent call last):
    ...
    ValueError: '/usr//bin/./env': starts with a slash
    >>> TreePath.rooted("/usr//bin/./env")
    TreePath(b'usr/bin/env')
    """

    __slots__ = ()

    @classmethod
    def parse(cls, raw: bytes | str) -> Self:
        """Return `raw` as a path, or raise a `ValueError` that names the fault."""
        data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
        problem = _problem(data)
        if problem:
            raise ValueError(f"{escaped(data)!r}: {problem}")
        return cls(data)

    @classmethod
    def rooted(cls, raw: bytes | str) -> Self:
        """Return the path that a person wrote: a leading slash, `//` and `/./` are ignored, and `..` is refused."""
        data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
        return cls.parse(b"/".join(part for part in data.split(b"/") if part not in (b"", b".")))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the path whose `.text` is `text`, or raise `ValueError`."""
        return cls.parse(unescaped(text))

    @property
    def parent(self) -> TreePath:
        """The folder that holds it; the empty path if that is the root."""
        return TreePath(self.rpartition(b"/")[0])

    @property
    def name(self) -> bytes:
        """The last component."""
        return self.rpartition(b"/")[2]

    @property
    def parents(self) -> tuple[TreePath, ...]:
        """Every folder above it, outermost first, without the root."""
        parts = self.split(b"/")
        return tuple(TreePath(b"/".join(parts[:end])) for end in range(1, len(parts)))

    @property
    def text(self) -> str:
        """The text form (see the module's docstring)."""
        return escaped(self)

    def joined(self, *below: bytes) -> TreePath:
        """Return the path of `below` under this one, checked."""
        return TreePath.parse(b"/".join(part for part in (bytes(self), *below) if part))

    def __repr__(self) -> str:
        return f"TreePath({bytes(self)!r})"

    def __str__(self) -> str:
        return self.text


ROOT = TreePath(b"")


def escaped(data: bytes) -> str:
    """Return bytes in the text form; `unescaped` is the inverse.

    >>> escaped(b"caf\\xc3\\xa9 \\xff\\\\")
    'café \\\\xff\\\\x5c'
    """
    if data.isascii():
        text = data.decode("ascii")
        if text.isprintable() and "\\" not in text:
            return text
    return data.decode("utf-8", "surrogateescape").translate(_ESCAPED)


def unescaped(text: str) -> bytes:
    """Return the bytes whose text form is `text`, or raise `ValueError`."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!a}: is not UTF-8 (write such a byte as \\xff)") from error
    raw = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), data)
    if escaped(raw) != text:
        raise ValueError(f"{text!r}: not the text form of any path (write a backslash as \\x5c)")
    return raw


def _problem(data: bytes) -> str | None:
    if len(data) <= MAX_PATH_BYTES and _PATH.fullmatch(data):
        return None
    if not data:
        return "is empty"
    if data.startswith(b"/"):
        return "starts with a slash"
    if b"\0" in data:
        return "holds a NUL"
    if len(data) > MAX_PATH_BYTES:
        return f"has {len(data)} bytes, the limit is {MAX_PATH_BYTES}"
    parts = data.split(b"/")
    if len(parts) > MAX_PATH_COMPONENTS:
        return f"has {len(parts)} components, the limit is {MAX_PATH_COMPONENTS}"
    for part in parts:
        if part in (b"", b".", b".."):
            return f"has the component {part.decode()!r}"
        if len(part) > MAX_NAME_BYTES:
            return f"has a component of {len(part)} bytes, the limit is {MAX_NAME_BYTES}"
    return None


def has_bidi(raw: bytes) -> bool:
    """Return whether `raw` holds a control character that reorders the text that a person sees."""
    return _BIDI.search(raw) is not None


def composed(path: bytes) -> bytes:
    """Return `path` in Unicode form NFC: names that look the same become equal. Bytes that are not UTF-8 stay.

    >>> composed("e\\u0301".encode()) == composed("\\u00e9".encode())
    True
    """
    if path.isascii():
        return bytes(path)
    try:
        return unicodedata.normalize("NFC", path.decode("utf-8")).encode()
    except UnicodeDecodeError:
        return bytes(path)


def caseless(path: bytes) -> bytes:
    """Return `path` composed and case folded: names become equal that are one name where case is ignored.

    >>> caseless("usr/CAF\\u00c9".encode()) == caseless("usr/cafe\\u0301".encode())
    True
    """
    if path.isascii():
        return path.lower()
    try:
        return composed(composed(path).decode("utf-8").casefold().encode())
    except UnicodeDecodeError:
        return path.lower()


def climbs_out(path: bytes, target: bytes) -> bool:
    """Return whether the `..` of a symlink at `path` lead above the tree's root. An absolute target starts at the root.

    >>> climbs_out(b"usr/lib/x", b"../../etc"), climbs_out(b"usr/lib/x", b"../../../etc"), climbs_out(b"x", b"/../y")
    (False, True, True)
    """
    depth = 0 if target.startswith(b"/") else path.count(b"/")
    for part in target.split(b"/"):
        if part == b"..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in (b"", b"."):
            depth += 1
    return False
