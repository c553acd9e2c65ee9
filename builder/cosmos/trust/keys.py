"""`NAME.pub`: a public key.

    # comments and empty lines may stand above
    cosmos-key-v1 ed25519 alice 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=

One line: the format, the algorithm, the owner's name for it (`[a-z0-9.-]{1,64}`) and 32 bytes in canonical base64.

**Key id**: `ed25519:` and the hex SHA-256 of `"cosmos-key-v1\\n" || 0x01 || the 32 bytes`, in full. It is a name to
find and print a key by. An operator pins the key's bytes, not its id.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final, Self

from cosmos.errors import Malformed, quoted
from cosmos.limits import MAX_KEY_FILE_BYTES
from cosmos.model.names import KeyName
from cosmos.records import dataclass
from cosmos.trust import canonical_base64
from cosmos.trust.ed25519 import PUBLIC_KEY_BYTES, is_strong_point

_KEY_FILE: Final = "name a file that cosmos key new wrote (NAME.pub), one for each key"
_FORMAT: Final = "cosmos-key-v1"
_ALGORITHM: Final = "ed25519"
_ID = re.compile(r"ed25519:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """A public key that passed the strict check of `trust.ed25519`; for any other key the constructor raises.

    >>> key = PublicKey.from_line("cosmos-key-v1 ed25519 alice 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    >>> key.id[:20]
    'ed25519:7ae4422e10e5'
    """

    name: KeyName
    raw: bytes

    def __post_init__(self) -> None:
        """Refuse bytes that are not a canonical point of prime order."""
        if not is_strong_point(self.raw):
            raise ValueError(
                f"key {self.name}: want a canonical point of prime order: its signatures would prove nothing"
            )

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Return the key in the one-line form, or raise `ValueError`."""
        fields = line.split(" ")
        if len(fields) != 4 or fields[0] != _FORMAT or fields[1] != _ALGORITHM:
            raise ValueError(f"want {_FORMAT} {_ALGORITHM} NAME BASE64")
        name, raw = KeyName.parse(fields[2]), canonical_base64.decoded(fields[3])
        if len(raw) != PUBLIC_KEY_BYTES:
            raise ValueError(f"want a key of {PUBLIC_KEY_BYTES} bytes, got {len(raw)}")
        return cls(name=name, raw=raw)

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Self:
        """Return the key in a `*.pub` file; raises `Malformed`."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        if len(data) > MAX_KEY_FILE_BYTES:
            raise Malformed(
                source, f"has {len(data)} bytes, the limit of a key file is {MAX_KEY_FILE_BYTES}", hint=_KEY_FILE
            )
        try:
            lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise Malformed(source, f"is not UTF-8 at byte {error.start}", hint=_KEY_FILE) from error
        if any(line.startswith("secret-key-version") for line in lines):
            hint = f"name its public half: {quoted(source.removesuffix('.key') + '.pub')}"
            raise Malformed(source, "expected a public key, found a secret key", hint=hint)
        stated = [line for line in lines if line and not line.startswith("#")]
        if len(stated) != 1:
            raise Malformed(source, f"want one key in the file, got {len(stated)}", hint=_KEY_FILE)
        try:
            return cls.from_line(stated[0])
        except ValueError as error:
            raise Malformed(source, str(error), hint=_KEY_FILE) from error

    @property
    def id(self) -> str:
        """The key id (see the module's docstring)."""
        return _id_of(self.raw)

    @property
    def line(self) -> str:
        """The one-line form, with no newline."""
        return f"{_FORMAT} {_ALGORITHM} {self.name} {canonical_base64.encoded(self.raw)}"

    def to_text(self, *comments: str) -> str:
        """Return the file's text, `comments` above the key."""
        return "".join(f"# {comment}\n" for comment in comments) + self.line + "\n"

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


@functools.lru_cache(256)
def _id_of(raw: bytes) -> str:
    """Return the id of a key: a few keys sign thousands of documents."""
    return f"{_ALGORITHM}:" + hashlib.sha256(f"{_FORMAT}\n".encode() + b"\x01" + raw).hexdigest()


def key_id(text: str) -> str:
    """Return `text` if it has the form of a key id, or raise `ValueError`."""
    if not _ID.fullmatch(text):
        raise ValueError(f"want ed25519: and 64 lower-case hex digits, got {text[:80]!r}")
    return text
