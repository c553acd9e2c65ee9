"""`Secret`: text in a template that holds a secret variable. It can be written whole, and nothing else.

A release names the digest of each file. If a template could write a part of a secret, or ask about it and write one of
two texts, the digest of that file would tell the part: few guesses find one letter. So a secret is no text to the
language. A template cannot ask for its length, its letters or its truth. What it may do keeps every letter:

    {{ wifi_psk }}                       write it
    "psk=" ~ wifi_psk, "psk=" + wifi_psk join it with other text; the whole is a secret then
    set, with, for, macros, lists        give it another name, or a place among others
    e, escape, indent, string, tojson, urlencode       filters from whose result it can be read back
    is defined, default                  it is always defined

Everything else is refused with file, line and variable. A result of the language that holds a secret is a `Secret`
again, whatever it went through, so the text of a file says whether it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

KEEPING_FILTERS: Final = frozenset({"e", "escape", "indent", "string", "tojson", "urlencode"})


class Secret:
    """Text that holds the values of the variables `names`. It does not show itself in an error or a trace."""

    __slots__ = ("_text", "names")

    def __init__(self, text: str, names: Iterable[str]) -> None:
        self._text = text
        self.names = frozenset(names)

    @property
    def shown(self) -> str:
        """What it is, for messages."""
        several = len(self.names) > 1
        return f"the secret{'s' if several else ''} {' and '.join(sorted(self.names))}"

    @property
    def size(self) -> int:
        """The number of its characters, to count the work on it. It goes into no message."""
        return len(self._text)

    def revealed(self) -> str:
        """Return the text: for the file that is written, and for a filter that keeps every letter."""
        return self._text

    def refused(self, what: str) -> TypeError:
        """Return the error of a template that does something else than to write it whole."""
        return TypeError(f"{self.shown} can be written whole, but not {what}")

    def __bool__(self) -> NoReturn:
        raise self.refused("asked about")

    def __eq__(self, other: object) -> NoReturn:
        raise self.refused("compared")

    def __hash__(self) -> NoReturn:
        raise self.refused("compared")

    def __repr__(self) -> str:
        return f"<{self.shown}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: the text would leave its place."""
        raise TypeError("a secret is not pickled or copied")


def joined(parts: Iterable[str | Secret]) -> str | Secret:
    """Return the parts as one text, which is a secret if one of them is."""
    parts = list(parts)
    names = {name for part in parts if isinstance(part, Secret) for name in part.names}
    text = "".join(part.revealed() if isinstance(part, Secret) else part for part in parts)
    return Secret(text, names) if names else text


def demand_no_secret(values: Iterable[object], what: str) -> None:
    """Raise `TypeError` if one of `values` is a secret."""
    for value in values:
        if isinstance(value, Secret):
            raise value.refused(what)
