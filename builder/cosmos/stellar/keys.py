"""Make a key pair: the secret `NAME.key` and the public `NAME.pub`, which others pin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cosmos.durable import write_durably
from cosmos.errors import Malformed, WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_KEY_FILE_BYTES
from cosmos.model.names import KeyName
from cosmos.reading import read_up_to
from cosmos.records import dataclass
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import Role

_STATED: Final = re.compile(rb"^# the public ([a-z]+) key ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A key pair on disk."""

    public: PublicKey
    role: Role
    secret_path: Path
    public_path: Path


def new_key_pair(name: KeyName, role: Role, folder: Path, passphrase: bytes | None) -> KeyPair:
    """Make a key for `role` and write both files into `folder`. Without a passphrase, the secret file says so.

    Raises `Malformed` if one of the files exists, and for a passphrase that is too weak.
    """
    secret_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (secret_path, public_path):
        if path.exists() or path.is_symlink():
            raise Malformed(str(path), "is there already; keys are never overwritten", hint="choose another name")
    secret = SecretKey.generate(name, role)
    secret.save(secret_path, passphrase)
    text = secret.public.to_text(f"the public {role} key {name}: give this to whoever pins it", secret.public.id)
    write_durably(public_path, text.encode())
    return KeyPair(public=secret.public, role=role, secret_path=secret_path, public_path=public_path)


def demand_role(public: Path, role: Role) -> None:
    """Raise `Malformed` if the file of a public key names another role than `role`.

    The role is in the comment that `new_key_pair` writes. It is no proof, but finds a mix-up. A file without a comment
    passes, and so does a file that cannot be read.
    """
    try:
        stated = _STATED.search(read_up_to(public, MAX_KEY_FILE_BYTES))
    except WorldFailed:
        return
    if stated is not None and stated[1].decode() != role:
        raise Malformed(
            str(public),
            f"is a key of the role {stated[1].decode()}, not {role}",
            hint=f"a key has one role; to make another: cosmos key new NAME --role {role}",
        )
