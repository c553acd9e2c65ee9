"""Signed notes (c2sp.org/signed-note) and the heads of transparency logs in them (c2sp.org/tlog-checkpoint).

    core/log                                                     the log's origin
    12                                                           how many entries it has
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=                 the root hash over them

    — core/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeO…     base64 of a key id of 4 bytes and a signature
    — carol jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5…   a witness's signature, with its time

The log signs the three lines, each with its newline; its signature's name is the origin. A witness (c2sp.org/
tlog-cosignature, Ed25519) signs `cosignature/v1 NEWLINE time SECONDS NEWLINE` and then those lines. A key id is the
first four bytes of SHA-256(name || newline || kind || key), kind 0x01 for logs and 0x04 for witnesses.

Signatures by other names or key ids are ignored. If a signature in the name of a known key is bad, the whole note is
refused. Extension lines after the root are refused as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final, Self

from cosmos.errors import Refused
from cosmos.limits import Limit
from cosmos.records import dataclass
from cosmos.trust import canonical_base64
from cosmos.trust.ed25519 import SIGNATURE_BYTES, BadSignature, verify_signature
from cosmos.trust.keys import PublicKey
from cosmos.trust.merkle import HASH_BYTES

MAX_NOTE_BYTES: Final = Limit("MAX_NOTE_BYTES", 64 << 10)  # a head and its signatures: some hundred bytes each
MAX_NOTE_SIGNATURES: Final = Limit(
    "MAX_NOTE_SIGNATURES", 64
)  # c2sp.org/signed-note demands that 16 are taken; each costs a verification
_LOG_KIND: Final = b"\x01"
_WITNESS_KIND: Final = b"\x04"
_LINE = re.compile("— ([^ +\u0000-\u0020\u007f]+) ([A-Za-z0-9+/=]+)")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


class BadNote(Refused):
    """A note, or the head in it, is malformed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A log's head: how many entries, and the root hash over them."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: bytes, source: str) -> Self:
        """Return the head whose three lines are `text`; raises `BadNote`."""
        lines = text.decode("utf-8", "replace").split("\n")
        if len(lines) != 4 or lines[3] or not _ORIGIN.fullmatch(lines[0]) or not _NUMBER.fullmatch(lines[1]):
            raise BadNote(source, "want three lines: an origin, a number of entries, and a root hash")
        try:
            root = canonical_base64.decoded(lines[2])
        except ValueError as error:
            raise BadNote(source, f"root hash: {error}") from error
        if len(root) != HASH_BYTES:
            raise BadNote(source, f"want a root hash of {HASH_BYTES} bytes, got {len(root)}")
        return cls(origin=lines[0], size=int(lines[1]), root=root)

    def to_text(self) -> bytes:
        """Return the lines that are signed."""
        return f"{self.origin}\n{self.size}\n{canonical_base64.encoded(self.root)}\n".encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteSignature:
    """One line below a note's text; the content of `raw` depends on the kind of key."""

    name: str
    key_id: bytes
    raw: bytes

    @property
    def line(self) -> str:
        """The line, with no newline."""
        return f"— {self.name} {canonical_base64.encoded(self.key_id + self.raw)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A parsed note; nothing in it is verified."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the note in `data`; raises `BadNote`."""
        if len(data) > MAX_NOTE_BYTES:
            raise BadNote(source, f"has {len(data)} bytes, the limit of a note is {MAX_NOTE_BYTES}")
        if any(byte < 0x20 and byte != 0x0A for byte in data):
            raise BadNote(source, "holds a control character")
        text, separator, below = data.rpartition(b"\n\n")
        if not separator or not below.endswith(b"\n"):
            raise BadNote(source, "want a text, an empty line, and lines of signatures")
        rows = below.removesuffix(b"\n").split(b"\n")
        if len(rows) > MAX_NOTE_SIGNATURES:
            raise BadNote(source, f"has {len(rows)} signatures, the limit is {MAX_NOTE_SIGNATURES}")
        return cls(text=text + b"\n", signatures=tuple(_signature(row, source) for row in rows))

    def to_bytes(self) -> bytes:
        """Return the note."""
        return self.text + b"\n" + "".join(f"{one.line}\n" for one in self.signatures).encode()

    def log_signers(self, origin: str, keys: Iterable[PublicKey], source: str) -> tuple[str, ...]:
        """Return the ids of those `keys` that signed the text as the log `origin`; raises `BadNote`."""
        found = {}
        for key in keys:
            for one in self.signatures:
                if (one.name, one.key_id) == (origin, log_key_id(origin, key)):
                    _demand_good(key, self.text, one.raw, source)
                    found[key.raw] = key.id
        return tuple(sorted(found.values()))

    def witnesses(self, keys: Iterable[PublicKey], source: str) -> tuple[str, ...]:
        """Return the ids of those `keys` that cosigned the text; raises `BadNote` for a forged cosignature."""
        found = {}
        for key in keys:
            for one in self.signatures:
                if (one.name, one.key_id) == (str(key.name), witness_key_id(key)):
                    if len(one.raw) != 8 + SIGNATURE_BYTES:
                        raise BadNote(source, f"the cosignature of {key.name} has {len(one.raw)} bytes")
                    seconds = int.from_bytes(one.raw[:8], "big")
                    _demand_good(key, cosigned(self.text, seconds), one.raw[8:], source)
                    found[key.raw] = key.id
        return tuple(sorted(found.values()))


def log_key_id(origin: str, key: PublicKey) -> bytes:
    """Return the four bytes by which a log's signature names its key."""
    return _key_id(origin, _LOG_KIND, key)


def witness_key_id(key: PublicKey) -> bytes:
    """Return the four bytes by which a cosignature names its key."""
    return _key_id(str(key.name), _WITNESS_KIND, key)


def cosigned(text: bytes, seconds: int) -> bytes:
    """Return the bytes that a witness signs for a head's `text` at a time (seconds since 1970)."""
    return b"cosignature/v1\ntime %d\n%b" % (seconds, text)


def _key_id(name: str, kind: bytes, key: PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + key.raw).digest()[:4]


def _signature(row: bytes, source: str) -> NoteSignature:
    match = _LINE.fullmatch(row.decode("utf-8", "replace"))
    if match is None:
        raise BadNote(source, "a line of signatures is not of the form: — NAME BASE64")
    try:
        raw = canonical_base64.decoded(match[2])
    except ValueError as error:
        raise BadNote(source, f"the signature of {match[1][:80]}: {error}") from error
    if len(raw) <= 4:
        raise BadNote(source, f"the signature of {match[1][:80]} is too short")
    return NoteSignature(name=match[1], key_id=raw[:4], raw=raw[4:])


def _demand_good(key: PublicKey, message: bytes, raw: bytes, source: str) -> None:
    try:
        verify_signature(key.raw, message, raw)
    except BadSignature as error:
        raise BadNote(source, f"the signature in the name of {key.name} is forged: {error.problem}") from error
