"""`Proxies`: which proxy leads to a server, by the variables that curl knows (its manual, section ENVIRONMENT).

    http_proxy                   for http://; the same in upper case does not count: a web server gives its CGI programs
                                 the client's header `Proxy:` under the name HTTP_PROXY
    https_proxy, HTTPS_PROXY     for https://
    all_proxy, ALL_PROXY         for both, if there is no other
    no_proxy, NO_PROXY           hosts that are reached without a proxy

The lower case counts first. An empty variable means: no proxy. A proxy is `http://HOST:PORT`, with `NAME:PASSWORD@`
before the host if it asks for one; `HOST:PORT` is the same. Names in `no_proxy` stand between commas or spaces: a host
with every host below it (`example.org`, `.example.org`), an address, a network (`10.0.0.0/8`), each with `:PORT` if
only that port is meant, or `*` for every host.

A variable is judged when a server is asked, so that a wrong one does not stop a command that needs no network. Errors
name the variable and never its value, which may hold a password.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from cosmos.errors import Malformed
from cosmos.records import dataclass

_NAMES: Final = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
_NONE: Final = ("no_proxy", "NO_PROXY")
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """One proxy. `variable` named it; `login` is the value of its header Proxy-Authorization, or ""."""

    host: str
    port: int
    variable: str
    login: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port} ({self.variable})"

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """Return the proxy in `text`; raises `Malformed`."""
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        is_plain = text.isascii() and text.isprintable() and _HOST.fullmatch(host)
        if not is_plain or not port or parts.scheme != "http" or parts.path not in ("", "/") or parts.query:
            raise Malformed(
                variable,
                "names no proxy that cosmos can use; expected http://HOST:PORT",
                hint=f"set it to http://HOST:PORT, or leave it empty for this command: {variable}= cosmos …",
            )
        login = ""
        if parts.username is not None:
            login = basic(unquote(parts.username), unquote(parts.password or ""))
        return cls(host=host, port=port, variable=variable, login=login)


@dataclass(frozen=True, slots=True)
class Proxies:
    """The variables that name proxies; no variables mean: no proxy."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return the proxies that the environment names. Nothing is judged yet."""
        names = {*_NONE, *(name for names in _NAMES.values() for name in names)}
        return cls({name: environ[name] for name in sorted(names & environ.keys())})

    def proxy(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy to this server, or None for none. Raises `Malformed`."""
        variable = next((name for name in _NAMES[scheme] if name in self.variables), None)
        text = "" if variable is None else self.variables[variable].strip()
        if variable is None or not text or self._is_exempt(host.lower(), port):
            return None
        return Proxy.parse(text, variable)

    def _is_exempt(self, host: str, port: int) -> bool:
        text = next((self.variables[name] for name in _NONE if name in self.variables), "")
        return any(_covers(word.lower(), host, port) for word in re.split(r"[,\s]+", text) if word)


def basic(name: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617).

    >>> basic("Aladdin", "open sesame")
    'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='
    """
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


def _covers(word: str, host: str, port: int) -> bool:
    """Return whether the word of `no_proxy` names the host.

    >>> [_covers(word, "a.example.org", 80) for word in ("example.org", ".example.org", "ample.org", "*")]
    [True, True, False, True]
    """
    if word == "*":
        return True
    if "/" in word:
        return _is_in_network(host, word)
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", word)
    if match is not None:
        if match[2] and int(match[2]) != port:
            return False
        word = match[1]
    name = word.strip("[]").strip(".")
    return bool(name) and (host.rstrip(".") == name or host.rstrip(".").endswith(f".{name}"))


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
