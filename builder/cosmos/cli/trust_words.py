"""Parse the forms of keys on the command line: `K.pub`, `K.pub:GALAXIES:STARS`, `ROLE=N`."""

from __future__ import annotations

import os
from pathlib import Path

from cosmos.errors import Malformed
from cosmos.limits import MAX_KEY_FILE_BYTES
from cosmos.reading import read_up_to
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import ROLES, Role, role
from cosmos.trust.roots import AuthorKey, glob


def shown_public_key(file: Path) -> PublicKey:
    """Return the key in a `*.pub` file; raises `Malformed` or `WorldFailed`."""
    if not os.path.lexists(file):
        raise Malformed(str(file), "is not there", hint="name the NAME.pub that cosmos key new wrote beside NAME.key")
    return PublicKey.parse(read_up_to(file, MAX_KEY_FILE_BYTES), str(file))


def author_key(text: str) -> AuthorKey:
    """Return `K.pub[:GALAXIES[:STARS]]` as an author's key with its scope; raises `Malformed`."""
    path, _, scope = text.partition(":")
    galaxies, _, stars = scope.partition(":")
    public = shown_public_key(Path(path))
    try:
        return AuthorKey(key=public, galaxies=_globs(galaxies), stars=_globs(stars))
    except ValueError as error:
        raise Malformed(f"--author {text}", str(error)) from error


def role_thresholds(rows: tuple[str, ...]) -> dict[Role, int]:
    """Return the texts `ROLE=N` as numbers by role; raises `Malformed`."""
    needed: dict[Role, int] = {}
    for row in rows:
        name, _, number = row.partition("=")
        if name not in ROLES or not (number.isascii() and number.isdecimal()):
            raise Malformed(f"--threshold {row}", f"want one of {', '.join(ROLES)}, = and a number, such as root=2")
        needed[role(name)] = int(number[:4])
    return needed


def _globs(text: str) -> tuple[str, ...]:
    return tuple(glob(part) for part in (text or "*").split(","))
