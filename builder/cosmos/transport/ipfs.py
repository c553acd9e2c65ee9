"""A galaxy in IPFS: `ipfs://CID`, the folder with this content identifier (docs.ipfs.tech, "Content identifiers").

Its files come through the gateway that the variable IPFS_GATEWAY names, as for curl: `IPFS_GATEWAY/ipfs/CID/PATH` is an
ordinary `http://` or `https://` address, with its limits, proxies and passwords (transport.http). Without the variable,
the program `ipfs` hands them out (`ipfs cat`).

Neither is believed. A gateway may send anything, and nothing here computes a CID. The bytes are judged as those of
every carrier.
"""

from __future__ import annotations

import os
import re
import resource
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from cosmos.child import Confinement
from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed
from cosmos.folders import Folder
from cosmos.limits import IPFS_SECONDS
from cosmos.process import find_program, run_program_into
from cosmos.reading import open_content
from cosmos.transport.carrier import Carrier, Expected, NotThere, Progress, parts_of, too_long, wrong_size
from cosmos.transport.http import HttpCarrier
from cosmos.transport.network import IPFS_GATEWAY, Network

_ADDRESS: Final = re.compile(r"ipfs://(Qm[1-9A-HJ-NP-Za-km-z]{44}|b[a-z2-7]{50,120})/?")  # CIDv0, and CIDv1 in base32
_MISSING: Final = "no link named"  # what `ipfs cat` says of a path that the folder does not have
_HINT: Final = f"set {IPFS_GATEWAY}=http://HOST:PORT to a gateway, or install the program ipfs (kubo)"


def ipfs_carrier(address: str, place: Folder, network: Network) -> Carrier:
    """Return the carrier for `ipfs://CID`. Raises `Malformed`."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise Malformed(address[:200], "want ipfs://CID, the content identifier of a folder")
    gateway = network.programs.get(IPFS_GATEWAY, "").rstrip("/")
    if not gateway:
        return IpfsProgram(match[1], network)
    if not gateway.startswith(("http://", "https://")):
        raise Malformed(IPFS_GATEWAY, "names no gateway; expected http://HOST:PORT or https://HOST")
    return HttpCarrier(f"{gateway}/ipfs/{match[1]}", place, network)


class IpfsProgram:
    """The files of the folder `cid`, which the program `ipfs` hands out."""

    def __init__(self, cid: str, network: Network) -> None:
        self._cid = cid
        self._env = {"PATH": os.defpath, **network.programs}

    @property
    def is_local(self) -> bool:
        """False: others may have the files."""
        return False

    @property
    def address(self) -> str:
        """The galaxy's address."""
        return f"ipfs://{self._cid}"

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        data = self._cat(path, max_bytes)
        if len(data) > max_bytes:
            raise too_long(f"{self.address}/{path}", max_bytes)
        return bytes(data)

    def read_exactly(
        self,
        path: str,
        *,
        size_bytes: int,
        progress: Progress,
        digest: Digest | None = None,  # noqa: ARG002 it is one part, and the caller verifies it
    ) -> Content:
        """Return the file at `path` of exactly `size_bytes`; raises as `Carrier` says."""
        data = self._cat(path, size_bytes)
        if len(data) != size_bytes:
            got = "more" if len(data) > size_bytes else str(len(data))
            raise wrong_size(f"{self.address}/{path}", size_bytes, got)
        progress(size_bytes)
        return data

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:  # noqa: ARG002 one after the other
        """Give a block in which nothing is done ahead."""
        return nullcontext()

    def _cat(self, path: str, most: int) -> Content:
        """Return the file at `path`, or its first `most + 1` bytes. Raises `NotThere` and `WorldFailed`."""
        where = f"{self.address}/{path.removeprefix('./')}"
        program = find_program("ipfs", _HINT, path=self._env["PATH"])
        asked = "/".join(("/ipfs", self._cid, *parts_of(path, self.address)))
        with tempfile.TemporaryFile() as answer:
            try:
                run_program_into(
                    answer,
                    [program, "cat", f"--length={most + 1}", asked],
                    env=self._env,
                    timeout_seconds=IPFS_SECONDS,
                    where=where,
                    confinement=Confinement(limits={resource.RLIMIT_FSIZE: most + 1}),
                )
            except WorldFailed as error:
                if _MISSING in str(error):
                    raise NotThere(where, "there is no such file in the galaxy") from error
                raise
            answer.flush()
            return open_content(answer.fileno(), where)
