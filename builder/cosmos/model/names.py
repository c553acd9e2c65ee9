"""Names of stars, galaxies, images and keys: each is checked once, and has its own type after that.

star, galaxy, image, constellation   [A-Za-z0-9] then [A-Za-z0-9+._-], at most 128 bytes
key                                  [a-z0-9.-], 1 to 64 bytes (TRUST.md section 3)
architecture                         `any`, or GNU's name of a machine: x86_64, aarch64, …
suite                                a release of Debian by its code name: bookworm, trixie
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Self

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}")
_KEY = re.compile(r"[a-z0-9.-]{1,64}")
_ARCH = re.compile(r"[a-z0-9_]{1,32}")
_SUITE = re.compile(r"[a-z]{1,32}")
_WISHERS: Final = ("image", "user")  # words of `wanted-by` that are no star's name
_STAR: Final = "star:"
_OTHER_NAMES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "armv8": "aarch64"}  # Debian's, Go's, Docker's
_MOVING_SUITES = ("stable", "oldstable", "oldoldstable", "testing")


class _Name(str):
    __slots__ = ()
    _form = _NAME
    _wanted = "letters, digits and + . _ -, starting with a letter or digit"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a name, or raise `ValueError`."""
        if not cls._form.fullmatch(text) or ".." in text:
            raise ValueError(f"want {cls._wanted}, got {text[:80]!r}")
        return cls(text)


class StarName(_Name):
    """The name of a star."""

    __slots__ = ()


def reason_of(star: StarName) -> str:
    """Return what `wanted-by` says where `star` wants another star.

    >>> reason_of(StarName("nano")), reason_of(StarName("user"))
    ('nano', 'star:user')
    """
    return f"{_STAR}{star}" if star in _WISHERS else str(star)


def star_behind(reason: str) -> StarName | None:
    """Return the star that wants another, by what `wanted-by` says; None for an image, a user or a constellation.

    >>> star_behind("nano"), star_behind("star:user"), star_behind("user")
    ('nano', 'user', None)
    """
    name = reason.removeprefix(_STAR)
    return None if ":" in name or reason in _WISHERS else StarName(name)


def parted(reasons: Iterable[str]) -> tuple[tuple[str, ...], tuple[StarName, ...]]:
    """Return the askers (images, users, constellations) among `reasons`, and the stars.

    >>> parted(["user", "nano", "star:user", "constellation:tools"])
    (('user', 'constellation:tools'), ('nano', 'user'))
    """
    asked, stars = list[str](), list[StarName]()
    for reason in reasons:
        star = star_behind(reason)
        if star is None:
            asked.append(reason)
        else:
            stars.append(star)
    return tuple(asked), tuple(stars)


class GalaxyName(_Name):
    """The name of a galaxy."""

    __slots__ = ()


class ImageName(_Name):
    """The name of an image."""

    __slots__ = ()


class KeyName(_Name):
    """The name that a key's owner gave it."""

    __slots__ = ()
    _form = _KEY
    _wanted = "1 to 64 of a-z, 0-9, dot and hyphen"


class Arch(_Name):
    """A machine architecture, or `any`."""

    __slots__ = ()
    _form = _ARCH
    _wanted = "any, or a machine's name such as x86_64 or aarch64"

    @classmethod
    def written(cls, text: str) -> Self:
        """Return `text` as an architecture that a person wrote; raises `ValueError`, also for another world's name."""
        if text in _OTHER_NAMES:
            raise ValueError(f"want GNU's name of the machine, {_OTHER_NAMES[text]}, got {text!r}")
        return cls.parse(text)

    def runs_on(self, machine: Arch) -> bool:
        """Return whether a star of this architecture can be installed on `machine`."""
        return self in ("any", machine)


class Suite(_Name):
    """A release of Debian by its code name. A name that moves to another release with time is refused."""

    __slots__ = ()
    _form = _SUITE
    _wanted = "the code name of a release of Debian, such as bookworm"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a suite, or raise `ValueError`."""
        if text in _MOVING_SUITES:
            raise ValueError(f"want {cls._wanted}, got {text!r}, which is another release after the next one")
        return super().parse(text)


ANY_ARCH = Arch("any")
