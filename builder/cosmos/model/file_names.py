"""The names of one star's files in a galaxy, one stem for its archive, statement, badges and proof; and of releases.

    NAME-VERSION             a star that runs anywhere:    tzdata-2026.1.0.tar.zst
    NAME-VERSION-ARCH        a star for one machine:       zlib-1.3.1-x86_64.tar.zst

The version is the text that people read. The `:` of Debian's epoch is written `%3a`, as apt does, because the file
system of a USB stick may not allow it. No code reads a name back out of a stem: `a-1` in version `2` and `a` in version
`1-2` have one stem. A galaxy that would have to hold both is refused (model.galaxy, stellar.galaxy_folder).
"""

from __future__ import annotations

import re
from typing import Final

from cosmos.limits import MAX_NAME_BYTES
from cosmos.model.names import ANY_ARCH
from cosmos.treepath import escaped

_STEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~%-]{0,239}", re.ASCII)


def file_stem(name: str, version_text: str, arch: str = ANY_ARCH) -> str:
    """Return the file name of one version of a star for one architecture, without its ending.

    >>> file_stem("less", "590-2.1~deb12u2", "x86_64"), file_stem("tzdata", "1:2026a")
    ('less-590-2.1~deb12u2-x86_64', 'tzdata-1%3a2026a')
    """
    machine = "" if arch == ANY_ARCH else f"-{arch}"
    return f"{name}-{version_text.replace(':', '%3a')}{machine}"


def plain_name(text: str) -> str:
    """Return `text` if it can be the name of a file in a release, or raise `ValueError`.

    A person reads the name as it is: no character in it moves the cursor, or turns the order of what follows.
    """
    name = text.encode("utf-8", "surrogateescape")
    if not text or "/" in text or text in (".", "..") or escaped(name) != text or len(name) > MAX_NAME_BYTES:
        raise ValueError(f"want a plain file name, got {text[:80]!r}")
    return text


def parsed_stem(text: str) -> str:
    """Return `text` if it can be a stem, or raise `ValueError`: one plain name, with no folder in it."""
    if not _STEM.fullmatch(text) or ".." in text:
        raise ValueError(f"want a file's name such as zlib-1.3.1-x86_64, without its ending, got {text[:80]!r}")
    return text
