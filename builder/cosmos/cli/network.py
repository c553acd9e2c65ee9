"""How servers are reached, by the environment: the proxies, and the files of passwords and of authorities.

    http_proxy, https_proxy, all_proxy, no_proxy    transport.proxies
    NETRC                                           the file of passwords (model.netrc); else ~/.netrc
    SSL_CERT_FILE                                   the authorities that vouch for https:// servers; else the system's
    PATH, IPFS_GATEWAY, IPFS_PATH, HOME             for carriers that start a program (transport.git, transport.ipfs)

A file is read when a server needs it. A file that a variable names must be there; ~/.netrc may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import MAX_AUTHORITIES_BYTES, MAX_NETRC_BYTES
from cosmos.model.netrc import Netrc, demand_unreadable
from cosmos.reading import is_there, open_plain, read_bounded, read_within
from cosmos.transport.network import IPFS_GATEWAY, Authorities, Network
from cosmos.transport.proxies import Proxies

_NETRC: Final = "NETRC"
_PROGRAMS: Final = ("PATH", "HOME", "IPFS_PATH", IPFS_GATEWAY)  # to find git and ipfs, and what ipfs reads
_AUTHORITIES: Final = "SSL_CERT_FILE"  # as OpenSSL calls it, and curl


def network() -> Network:
    """Return how the running command reaches servers. Its connections are closed when the command ends."""
    return click.get_current_context().with_resource(network_of(surroundings().environ))


def network_of(environ: Mapping[str, str]) -> Network:
    """Return how servers are reached in this environment. Nothing is read yet."""
    return Network(
        proxies=Proxies.of(environ),
        netrc=lambda: _netrc(environ),
        authorities=lambda: _authorities(environ),
        programs={name: environ[name] for name in _PROGRAMS if name in environ},
    )


def _netrc(environ: Mapping[str, str]) -> Netrc | None:
    named = environ.get(_NETRC, "")
    home = environ.get("HOME", "")
    file = Path(named) if named else Path(home, ".netrc")
    if not named and not (home and is_there(file)):
        return None
    try:
        with open_plain(file) as stream:
            demand_unreadable(os.fstat(stream.fileno()).st_mode, str(file), file)
            return Netrc.parse(read_within(stream, MAX_NETRC_BYTES), str(file))
    except OSError as error:
        raise _unreadable(file, _NETRC, error) from error


def _authorities(environ: Mapping[str, str]) -> Authorities | None:
    named = environ.get(_AUTHORITIES, "")
    if not named:
        return None
    try:
        return Authorities(source=named, pem=read_bounded(Path(named), MAX_AUTHORITIES_BYTES))
    except OSError as error:
        raise _unreadable(Path(named), _AUTHORITIES, error) from error


def _unreadable(file: Path, variable: str, error: OSError) -> Malformed | WorldFailed:
    problem = f"cannot be read: {(error.strerror or str(error)).lower()}"
    if isinstance(error, FileNotFoundError):
        return Malformed(str(file), problem, hint=f"{variable} names it: is that right?")
    return WorldFailed(str(file), problem)
