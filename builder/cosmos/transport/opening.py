"""Choose the carrier for an address: a folder, `file://`, `http://`, `https://`, or one of `CARRIERS`.

`CARRIERS` is where another carrier is plugged in: one module with a function or class that takes the address, a folder
for what it keeps, and the network, and that returns a `Carrier`; and one row here for each scheme. It moves bytes and
judges none: docs/network.md shows an example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from cosmos.errors import Malformed
from cosmos.folders import Folder, folder_at
from cosmos.model.addresses import LOGIN_HINT, LOGIN_PROBLEM, has_login, without_login
from cosmos.transport.carrier import Carrier
from cosmos.transport.local import LocalCarrier
from cosmos.transport.network import DIRECT, Network

Opener: TypeAlias = Callable[[str, Folder, Network], Carrier]


def _http(url: str, partial_dir: Folder, network: Network) -> Carrier:
    from cosmos.transport.http import HttpCarrier  # a galaxy in a folder needs none

    return HttpCarrier(url, partial_dir, network)


def _git(url: str, partial_dir: Folder, network: Network) -> Carrier:
    from cosmos.transport.git import GitCarrier  # as above; it starts programs

    return GitCarrier(url, partial_dir, network)


def _ipfs(url: str, partial_dir: Folder, network: Network) -> Carrier:
    from cosmos.transport.ipfs import ipfs_carrier  # as above

    return ipfs_carrier(url, partial_dir, network)


CARRIERS: Final[Mapping[str, Opener]] = {
    "http": _http,
    "https": _http,
    "git+https": _git,
    "git+file": _git,
    "ipfs": _ipfs,
}
"""How the galaxies of each scheme are opened, besides folders."""


def open_carrier(url: str, base: Path | Folder, partial_dir: Path | Folder, network: Network = DIRECT) -> Carrier:
    """Return the carrier for the galaxy at `url`; it reads nothing yet and opens no socket.

    `base` is the folder that a relative path starts from: in a `Folder` of a system, no link leads out of the system.
    `partial_dir` is where cut-off downloads wait. `network` is how servers are reached.
    Raises `Malformed`.
    """
    local = local_galaxy(url, base)
    return CARRIERS[_scheme(url)](url, folder_at(partial_dir), network) if local is None else local


def local_galaxy(url: str, base: Path | Folder) -> LocalCarrier | None:
    """Return the carrier for the galaxy at `url` if it is in a folder, else None. Raises `Malformed`."""
    scheme, has_scheme, _ = url.partition("://")
    if has_login(url):
        raise Malformed(without_login(url)[:200], LOGIN_PROBLEM, hint=LOGIN_HINT)
    if is_network(url):
        return None
    if has_scheme and scheme == "file":
        return LocalCarrier(_file_path(url))
    if has_scheme or url.startswith("deb:"):
        others = ", ".join(f"{one}://" for one in CARRIERS if one not in ("http", "https"))
        problem = f"want a folder, file://, http:// or https:// as a galaxy's address; or {others}"
        raise Malformed(without_login(url)[:200], problem)
    if not url or "\0" in url:
        raise Malformed(url[:200], "want a galaxy's address")
    if isinstance(base, Folder) and not url.startswith("/"):
        return LocalCarrier(base.folder(url))
    return LocalCarrier(Path(url) if isinstance(base, Folder) else base / url)


def galaxy_folder(url: str, base: Path) -> Path:
    """Return the folder of the local galaxy at `url`; a relative path starts at `base`. Raises `Malformed`."""
    return _file_path(url) if url.startswith("file://") else base / url


def is_network(url: str) -> bool:
    """Return whether the galaxy at `url` is reached through sockets.

    >>> is_network("http://10.0.0.1:8000"), is_network("ipfs://b"), is_network("../galaxy"), is_network("file:///x")
    (True, True, False, False)
    """
    return _scheme(url) in CARRIERS


def _scheme(url: str) -> str:
    """Return the scheme of an address; "" for a path."""
    scheme, has_scheme, _ = url.partition("://")
    return scheme if has_scheme else ""


def _file_path(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if (
        parts.netloc not in ("", "localhost")
        or not path.startswith("/")
        or "\0" in path
        or parts.query
        or parts.fragment
    ):
        raise Malformed(without_login(url)[:200], "want file:///path/of/a/folder on this machine")
    return Path(path)
