"""How a system reaches servers: what its config.toml says under `[network]` counts before the caller's environment."""

from __future__ import annotations

import os
from collections.abc import Callable

from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.errors import Malformed
from cosmos.limits import MAX_AUTHORITIES_BYTES, MAX_NETRC_BYTES
from cosmos.model.netrc import Netrc, demand_unreadable
from cosmos.model.settings import Settings
from cosmos.reading import read_within
from cosmos.transport.network import Authorities, Network
from cosmos.treepath import TreePath


def system_network(root: LiveRoot, settings: Settings, network: Network) -> Network:
    """Return `network` with the files that `settings` name; they are read when a server needs them.

    Its connections are those of `network`, which closes them.
    """
    if settings.netrc is not None:
        network = network.knowing(netrc=_netrc(root, settings.netrc))
    if settings.authorities is not None:
        network = network.knowing(authorities=_authorities(root, settings.authorities))
    return network


def _netrc(root: LiveRoot, path: TreePath) -> Callable[[], Netrc]:
    def read() -> Netrc:
        with root.stream(path, max_bytes=MAX_NETRC_BYTES) as stream:
            if stream is None:
                raise _missing(path)
            demand_unreadable(os.fstat(stream.fileno()).st_mode, shown(path), root.path / os.fsdecode(path))
            return Netrc.parse(read_within(stream, MAX_NETRC_BYTES), shown(path))

    return read


def _authorities(root: LiveRoot, path: TreePath) -> Callable[[], Authorities]:
    def read() -> Authorities:
        pem = root.document(path, max_bytes=MAX_AUTHORITIES_BYTES)
        if pem is None:
            raise _missing(path)
        return Authorities(source=shown(path), pem=pem)

    return read


def _missing(path: TreePath) -> Malformed:
    return Malformed(
        shown(path),
        "there is no such file",
        hint=f"write it, or take its line out of [network] in {shown(SETTINGS_PATH)}",
    )
