"""`SecretKey`: a key that can sign. Its file's format is in `keyring.key_file`.

The file's mode must be 0600, and its owner the user who runs the program. No error, `repr` or pickle of a key holds its
seed. A key signs only the documents of its role. It verifies each signature before it returns it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, Self

from nacl import utils
from nacl.signing import SigningKey

from cosmos.durable import write_durably
from cosmos.errors import Malformed, Refused, WorldFailed, quoted
from cosmos.keyring.key_file import SEED_BYTES, Head, opened, plain_document, sealed_document
from cosmos.limits import MAX_KEY_FILE_BYTES
from cosmos.model.names import KeyName
from cosmos.reading import demand_plain, is_there, read_up_to
from cosmos.trust.dsse import Signature, assemble, pae
from cosmos.trust.ed25519 import verify_signature
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import SIGNED_BY, Role

_SECRET_MODE: Final = 0o600


class SecretKey:
    """A key that can sign; its seed stays inside."""

    __slots__ = ("_signing", "public", "role")

    def __init__(self, *, name: KeyName, role: Role, seed: bytes) -> None:
        self._signing = SigningKey(seed)
        self.public = PublicKey(name=name, raw=bytes(self._signing.verify_key))
        self.role: Role = role

    @classmethod
    def generate(cls, name: KeyName, role: Role) -> Self:
        """Return a new key from the system's randomness."""
        return cls(name=name, role=role, seed=utils.random(SEED_BYTES))

    @classmethod
    def load(cls, path: Path, passphrase: Callable[[], bytes]) -> Self:
        """Return the key in `path`; calls `passphrase` only if the key is sealed.

        Raises `Refused` for a file that others may read and for a passphrase that does not fit, `Malformed` for
        another form and for a public key, `WorldFailed` if the file cannot be read.
        """
        _demand_no_public_key(path)
        head, seed = opened(read_private(path), passphrase, str(path))
        key = cls(name=head.public.name, role=head.role, seed=seed)
        if key.public != head.public:
            raise Refused(str(path), "the public key that it states is not that of its seed")
        return key

    def save(self, path: Path, passphrase: bytes | None) -> None:
        """Write the key to `path`, mode 0600, sealed; with None it is not sealed, and the file says so.

        Raises `Malformed` for a passphrase below the floor, `Refused` if the file exists already.
        """
        head = Head(public=self.public, role=self.role)
        seed = bytes(self._signing)
        document = plain_document(head, seed) if passphrase is None else sealed_document(head, seed, passphrase)
        if path.exists() or path.is_symlink():
            raise Refused(str(path), "is there already, and a key is never overwritten")
        write_durably(path, document, mode=_SECRET_MODE)

    def demand_role(self, role: Role) -> None:
        """Raise `Refused` unless the key is one of this role: asked before the work that it is to sign."""
        if self.role != role:
            raise Refused(
                f"key {self.public.name}",
                f"has the role {self.role}; expected a key of the role {role}",
                hint=f"make a key for that role with: cosmos key new --role {role} NAME",
            )

    def signature(self, payload_type: str, payload: bytes) -> Signature:
        """Return this key's signature, verified; raises `Refused` for a type that the key's role does not sign."""
        if payload_type not in SIGNED_BY[self.role]:
            raise Refused(
                f"key {self.public.name}",
                f"has the role {self.role}, which does not sign {payload_type}",
                hint="make a key for that role with: cosmos key new --role ROLE NAME",
            )
        message = pae(payload_type, payload)
        raw = self._signing.sign(message).signature
        verify_signature(self.public.raw, message, raw)
        return Signature(keyid=self.public.id, raw=raw)

    def has_signed(self, payload_type: str, payload: bytes, found: Signature) -> bool:
        """Return whether `found` is this key's signature: Ed25519 has one for each message, which is made again."""
        if payload_type not in SIGNED_BY[self.role] or found.keyid != self.public.id:
            return False
        return self._signing.sign(pae(payload_type, payload)).signature == found.raw

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """Return an envelope over `payload` with this key's signature."""
        return assemble(payload_type, payload, (self.signature(payload_type, payload),))

    def head_signature(self, text: bytes) -> bytes:
        """Return this key's 64 bytes over what a log or a witness signs (`trust.notes`), verified.

        Raises `Refused` if the key's role does not sign the heads of logs.
        """
        if self.role not in ("log", "witness"):
            raise Refused(
                f"key {self.public.name}",
                f"has the role {self.role}, which does not sign the heads of logs",
                hint="make a key for that with: cosmos key new --role log NAME",
            )
        raw = self._signing.sign(text).signature
        verify_signature(self.public.raw, text, raw)
        return raw

    def __repr__(self) -> str:
        return f"SecretKey(name={str(self.public.name)!r}, role={self.role!r}, id={self.public.id!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: the seed would leave its place."""
        raise TypeError("a secret key is not pickled or copied")


def read_private(path: Path) -> bytes:
    """Return the bytes of a file that only the person who runs this may read; raises `Refused` for any other.

    Raises `Malformed` for a pipe, a folder or a device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # so that a pipe does not block us
    except OSError as error:
        raise WorldFailed(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        _demand_private(os.fstat(descriptor), path)
        return os.read(descriptor, MAX_KEY_FILE_BYTES + 1)
    finally:
        os.close(descriptor)


def _demand_no_public_key(path: Path) -> None:
    """Refuse a `.pub` file as such: an error about its mode would mislead."""
    if not is_there(path):
        return
    try:
        key = PublicKey.parse(read_up_to(path, MAX_KEY_FILE_BYTES), str(path))
    except (WorldFailed, Malformed):
        return  # it is not a public key; the caller judges it
    raise Malformed(
        str(path), f"expected a secret key, found the public key {key.name}", hint="name the .key that belongs to it"
    )


def _demand_private(about: os.stat_result, path: Path) -> None:
    demand_plain(about, path)
    if about.st_uid != os.geteuid():
        raise Refused(str(path), f"belongs to user {about.st_uid}, and you are {os.geteuid()}")
    mode = stat.S_IMODE(about.st_mode)
    if mode != _SECRET_MODE:
        raise Refused(str(path), f"want mode 0600, got {mode:04o}", hint=f"chmod 600 {quoted(path)}")
