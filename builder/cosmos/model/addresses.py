"""Addresses of galaxies: they hold no name and no password, because they stand in locks, releases and messages."""

from __future__ import annotations

import re
from typing import Final

LOGIN_PROBLEM: Final = "an address must not hold a name or a password: locks and messages are not secret"
LOGIN_HINT: Final = "take NAME:PASSWORD@ out of it, and write into ~/.netrc: machine HOST login NAME password PASSWORD"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]*://"
_LOGIN: Final = re.compile(
    rf"{_SCHEME}(?:[^/?#]*@"  # or a password with a slash, which is no port
    r"|(?!\[)[^/?#:]*:(?![0-9]*(?:[/?#]|$))[^@]*@)",
    re.DOTALL,
)
_UP_TO_HOST: Final = re.compile(r"(?<=://).*@", re.DOTALL)


def read_address(text: str) -> str:
    """Return `text` if it can be a galaxy's address, else raise `ValueError`, which does not hold it."""
    if not text or "\0" in text:
        raise ValueError("want a path or an http:// address")
    return demand_no_login(text)


def demand_no_login(text: str) -> str:
    """Return `text` if it holds no name and no password, else raise `ValueError`, which does not hold it."""
    if has_login(text):
        raise ValueError(f"{LOGIN_PROBLEM}; {LOGIN_HINT}")
    return text


def has_login(address: str) -> bool:
    """Return whether the address holds a name or a password, of any scheme, also one that breaks the rules.

    >>> has_login("https://reader:secret@example.org/core"), has_login("https://reader:sec/ret@example.org/core")
    (True, True)
    >>> has_login("https://example.org:8443/@core"), has_login("https://[fd00::1]/@core")
    (False, False)
    """
    return _LOGIN.match(address) is not None


def without_login(address: str) -> str:
    """Return the address for an error, without what may be a password: even where it breaks the rules of addresses.

    >>> without_login("ftp://reader:sec/ret@example.org/core")
    'ftp://…@example.org/core'
    """
    return _UP_TO_HOST.sub("…@", address)
