"""Make a key pair: `NAME.key`, which stays here, and `NAME.pub`, which others pin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosmos.durable import write_durably
from cosmos.errors import Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A key pair as it lies on disk."""

    public: PublicKey
    role: Role
    secret_path: Path
    public_path: Path


def new_key_pair(name: KeyName, role: Role, folder: Path, passphrase: bytes | None) -> KeyPair:
    """Make a key for `role` and write both files into `folder`; with no passphrase the secret one says so.

    Raises `Refused` where either file is there already, `Malformed` for a passphrase below the floor.
    """
    secret_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    if public_path.exists() or public_path.is_symlink():
        raise Refused(str(public_path), "is there already, and a key is never overwritten")
    secret = SecretKey.generate(name, role)
    secret.save(secret_path, passphrase)
    text = secret.public.to_text(f"the public {role} key {name}: give this to whoever pins it", secret.public.id)
    write_durably(public_path, text.encode())
    return KeyPair(public=secret.public, role=role, secret_path=secret_path, public_path=public_path)
