"""Chains of trust.toml made in a test, with real keys and real signatures.

chain = Chain(tmp_path / "stick")
chain.start(root="alice")
chain.step(lambda roots: …, signers=["alice", "bob"])
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import Signature, assemble
from cosmos.trust.roles import TRUST_TYPE, Role
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots


@functools.cache
def secret(name: str, role: Role = "root") -> SecretKey:
    """Return the key of that name; the same one for the same name."""
    return SecretKey(name=KeyName(name), role=role, seed=f"{role} {name}".encode().ljust(32, b"."))


def first(root: str = "alice", *, galaxy: str = "mirror", author: str = "carol") -> TrustRoots:
    """Return version 1: one key a role."""
    roles: dict[Role, RoleKeys] = {
        "root": RoleKeys(threshold=1, keys=(secret(root).public,)),
        "galaxy": RoleKeys(threshold=1, keys=(secret(galaxy, "galaxy").public,)),
        "release": RoleKeys(threshold=1, keys=(secret("ship", "release").public,)),
    }
    everything = AuthorKey(key=secret(author, "author").public, galaxies=("*",), stars=("*",))
    return TrustRoots(version=1, roles=roles, authors=(everything,))


def with_roots(roots: TrustRoots, *names: str, threshold: int = 1) -> TrustRoots:
    """Return `roots` with other root keys."""
    keys = tuple(secret(name).public for name in names)
    return replace(roots, roles={**roots.roles, "root": RoleKeys(threshold=threshold, keys=keys)})


def document(roots: TrustRoots) -> bytes:
    """Return `roots` as its file."""
    return tomli_w.dumps(roots.to_toml()).encode()


def signed(data: bytes, signers: Iterable[str]) -> bytes:
    """Return an envelope over a trust.toml with these root keys' signatures, each as often as it is named."""
    found = [secret(name).signature(TRUST_TYPE, data) for name in signers]
    return assemble(TRUST_TYPE, data, [Signature(keyid=f"{place}", raw=one.raw) for place, one in enumerate(found)])


@dataclass
class Chain:
    """A folder with every version, as a galaxy carries it or a stick."""

    folder: Path
    versions: list[TrustRoots] = field(default_factory=list)

    def start(self, roots: TrustRoots, signers: Iterable[str] = ("alice",)) -> Chain:
        """Write version 1."""
        self.write(roots, signers)
        return self

    def step(
        self, change: Callable[[TrustRoots], TrustRoots] = lambda roots: roots, signers: Iterable[str] = ("alice",)
    ) -> TrustRoots:
        """Write the next version: the last one after `change`, its number one higher."""
        last = self.versions[-1]
        roots = replace(change(last), version=last.version + 1)
        self.write(roots, signers)
        return roots

    def write(self, roots: TrustRoots, signers: Iterable[str]) -> None:
        """Write a version unchecked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        data = document(roots)
        self.file(roots.version).write_bytes(data)
        self.file(roots.version).with_name(f"{roots.version}.toml.dsse").write_bytes(signed(data, signers))
        self.versions.append(roots)

    def file(self, version: int) -> Path:
        """Return the file of a version."""
        return self.folder / f"{version}.toml"

    def digest(self, version: int = 1) -> str:
        """Return a version's SHA-256 in hex."""
        return Digest.of(self.file(version).read_bytes()).hex
