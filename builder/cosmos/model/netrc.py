"""`netrc`: the names and passwords that servers ask for, in the file that curl, git and ftp read (netrc(5)).

    machine galaxies.example.org login reader password SECRET           # https:// alone
    machine http://10.0.0.1:8000 login reader password "two words"      # also a scheme, and a port

Words stand between spaces or on lines of their own. A word in double quotes may hold spaces; a backslash in it takes
the next character as it is. A line that begins with `#` is a comment. `macdef` is skipped up to the next empty
line, and `account` with its word.

A scheme and a port are additions, as in apt_auth.conf(5). Without a scheme, a line counts for https:// alone: over
http:// everybody on the way could read the password. Without a port, it counts for each port of the host. `default`
counts for no server: a password is sent only to a host that the file names.

No error of this module holds a word of the file, because any word may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Final, Self

from cosmos.errors import Malformed, Refused, quoted
from cosmos.limits import MAX_NETRC_BYTES
from cosmos.records import dataclass

_MACHINE: Final = re.compile(r"(?:(https?)://)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?")
_VALUES: Final = ("login", "password", "account")
_HINT: Final = "write one line for each server: machine HOST login NAME password PASSWORD"


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """A name and its password at one host. `port` is None for each port. The password is not in its `repr`."""

    scheme: str
    host: str
    port: int | None
    name: str
    password: str = field(repr=False)

    def fits(self, scheme: str, host: str, port: int) -> bool:
        """Return whether it is meant for this server."""
        return (self.scheme, self.host) == (scheme, host.lower()) and self.port in (None, port)


@dataclass(frozen=True, kw_only=True, slots=True)
class Netrc:
    """The logins of one file, in its order. `source` names the file."""

    source: str
    logins: tuple[Login, ...] = ()

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the logins in `data`; raises `Malformed`."""
        if len(data) > MAX_NETRC_BYTES:
            raise Malformed(source, f"has more bytes than the limit, {MAX_NETRC_BYTES}")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise Malformed(source, "is not UTF-8") from None  # the error itself would hold the bytes
        return cls(source=source, logins=tuple(_logins(list(_words(text, source)), source)))

    def login(self, scheme: str, host: str, port: int) -> Login | None:
        """Return the first login for this server, or None."""
        return next((login for login in self.logins if login.fits(scheme, host, port)), None)


def demand_unreadable(mode: int, source: str, place: Path) -> None:
    """Raise `Refused` for the mode of a file that other users may read. `place` is its path on this machine."""
    if mode & 0o077:
        raise Refused(
            source,
            f"holds passwords, and other users may read it (mode {mode & 0o7777:04o})",
            hint=f"chmod 600 {quoted(place)}",
        )


def _words(text: str, source: str) -> Iterator[tuple[int, str]]:
    """Yield each word with the number of its line, without comments and macros."""
    in_macro = False
    for number, line in enumerate(text.splitlines(), 1):
        if in_macro:
            in_macro = bool(line.strip())
            continue
        if line.lstrip().startswith("#"):
            continue
        for word in _words_of(line, f"{source}:{number}"):
            if word == "macdef":
                in_macro = True
                break
            yield number, word


def _words_of(line: str, where: str) -> Iterator[str]:
    place = 0
    while match := re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\s"]\S*)(?=\s|$)').match(line, place):
        word, place = match[1], match.end()
        yield re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
    if line[place:].strip():
        raise Malformed(where, "a word in quotes does not end", hint=_HINT)


def _logins(words: list[tuple[int, str]], source: str) -> Iterator[Login]:
    place = 0
    while place < len(words):
        line, word = words[place]
        where = f"{source}:{line}"
        if word not in ("machine", "default"):
            raise Malformed(where, "expected the word machine", hint=_HINT)
        machine = _word_at(words, place + 1, where) if word == "machine" else ""
        place += 2 if word == "machine" else 1
        values: dict[str, str] = {}
        while place < len(words) and words[place][1] in _VALUES:
            values[words[place][1]] = _word_at(words, place + 1, where)
            place += 2
        if word == "machine":
            yield _login(machine, values, where)


def _word_at(words: list[tuple[int, str]], place: int, where: str) -> str:
    if place >= len(words):
        raise Malformed(where, "its last word has no value", hint=_HINT)
    return words[place][1]


def _login(machine: str, values: dict[str, str], where: str) -> Login:
    match = _MACHINE.fullmatch(machine)
    if match is None or (match[3] and not 0 < int(match[3]) < 1 << 16):
        raise Malformed(where, "the word after machine is not HOST, HOST:PORT or http://HOST:PORT", hint=_HINT)
    name, password = values.get("login", ""), values.get("password", "")
    if not name or ":" in name or not (name + password).isprintable():
        raise Malformed(where, "want a login without a colon, and no control characters", hint=_HINT)
    return Login(
        scheme=match[1] or "https",
        host=match[2].strip("[]").lower(),
        port=int(match[3]) if match[3] else None,
        name=name,
        password=password,
    )
