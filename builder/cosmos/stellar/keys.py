"""Make a key pair: `NAME.key`, which stays here, and `NAME.pub`, which others pin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.durable import write_durably
from cosmos.errors import Malformed, WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_KEY_FILE_BYTES
from cosmos.model.names import KeyName
from cosmos.reading import read_up_to
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import Role

_STATED: Final = re.compile(rb"^# the public ([a-z]+) key ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A key pair as it lies on disk."""

    public: PublicKey
    role: Role
    secret_path: Path
    public_path: Path


def new_key_pair(name: KeyName, role: Role, folder: Path, passphrase: bytes | None) -> KeyPair:
    """Make a key for `role` and write both files into `folder`; with no passphrase the secret one says so.

    Raises `Malformed` where either file is there already, and for a passphrase below the floor.
    """
    secret_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (secret_path, public_path):
        if path.exists() or path.is_symlink():
            raise Malformed(str(path), "is there already, and a key is never overwritten", hint="choose another name")
    secret = SecretKey.generate(name, role)
    secret.save(secret_path, passphrase)
    text = secret.public.to_text(f"the public {role} key {name}: give this to whoever pins it", secret.public.id)
    write_durably(public_path, text.encode())
    return KeyPair(public=secret.public, role=role, secret_path=secret_path, public_path=public_path)


def demand_role(public: Path, role: Role) -> None:
    """Raise `Malformed` where the file of a public key states another role than `role`.

    The statement is the comment that `new_key_pair` writes, and so no proof: it catches a slip. A file without one, and
    one that cannot be read, passes.
    """
    try:
        stated = _STATED.search(read_up_to(public, MAX_KEY_FILE_BYTES))
    except WorldFailed:
        return
    if stated is not None and stated[1].decode() != role:
        raise Malformed(
            str(public),
            f"is a key of the role {stated[1].decode()}, not {role}",
            hint=f"cosmos key new NAME --role {role} makes one; a key serves one role",
        )
