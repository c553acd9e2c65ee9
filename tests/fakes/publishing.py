"""A galaxy that several processes publish into and read: the same keys and the same small stars in each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import Arch, GalaxyName, KeyName, StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.pack.star_archive import write_star
from cosmos.stellar.build_star import BuiltStar
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust.roles import Role
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots

NAME: Final = GalaxyName("core")
TODAY: Final = "2026.02.03"
_SEEDS: Final[dict[Role, int]] = {"root": 1, "author": 2, "galaxy": 3, "log": 4, "attester": 5, "release": 6}


def key(role: Role) -> SecretKey:
    """Return the key of a role: the same one in every process."""
    return SecretKey(name=KeyName(f"test-{role}"), role=role, seed=bytes([_SEEDS[role]] * 32))


def author() -> SecretKey:
    """Return the key that signs stars."""
    return key("author")


def galaxy_key() -> SecretKey:
    """Return the key that signs indexes."""
    return key("galaxy")


def log_key() -> SecretKey:
    """Return the key that signs the log's heads."""
    return key("log")


def attester() -> SecretKey:
    """Return the key that signs badges."""
    return key("attester")


def roots() -> TrustRoots:
    """Return trust anchors that pin these keys."""
    roles: dict[Role, RoleKeys] = {
        role: RoleKeys(threshold=1, keys=(key(role).public,)) for role in _SEEDS if role != "author"
    }
    return TrustRoots(version=1, roles=roles, authors=(AuthorKey(key=author().public, galaxies=("*",), stars=("*",)),))


def built(name: str, version: str = "1.0.0", arch: str = "any", text: str = "x") -> BuiltStar:
    """Return a star with one file."""
    entries = (Entry(path=TreePath(b"usr/share/" + name.encode()), kind="file", mode=0o644, content=text.encode()),)
    star = Star(name=StarName(name), version=Version.parse(version), arch=Arch(arch), license="MIT")
    star = replace(star, source=star.archive_source)
    packed = write_star(star, None, entries, level=3)
    return BuiltStar(manifest=star, packed=packed, script=None, entries=entries, unrun=())
