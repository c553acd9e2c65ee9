"""A galaxy in a git repository, at one commit: `git+https://HOST/PATH@COMMIT` or `git+file:///PATH@COMMIT`.

A commit is named by its id, 40 hexadecimal digits. A branch and a tag are names that somebody moves, and are refused.

The program `git` fetches the commit, without its history, into a folder that is gone afterwards. Nothing is checked
out: git lists the commit's files and hands out their bytes as they are stored, so that no filter, line ending, LFS,
attribute or hook changes them. Links, submodules and names that no file of a galaxy has are left out. The files lie in
the cache, and are read as those of a folder. Their bytes are judged as those of every carrier: the commit's id proves
nothing here.

    PLACE/git/COMMIT/…          the commit's files
    PLACE/git/COMMIT.complete   they are all there; written last

git sees no file of its user and of the system: no configuration, no attributes, no password. It gets the proxies and
the authorities of `Network`. MAX_GIT_BYTES, MAX_GIT_FILES and MAX_GIT_LIST_BYTES bound what it fetches and says.
"""

from __future__ import annotations

import os
import re
import resource
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from cosmos.child import Confinement
from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.durable import blaming, temporary_folder
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.folders import Folder
from cosmos.limits import (
    GIT_SECONDS,
    MAX_GIT_BYTES,
    MAX_GIT_COMMITS,
    MAX_GIT_FILES,
    MAX_GIT_LIST_BYTES,
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    READ_CHUNK_BYTES,
)
from cosmos.process import find_program, run_program_into
from cosmos.records import dataclass
from cosmos.transport.carrier import Expected, Progress, parts_of
from cosmos.transport.local import LocalCarrier
from cosmos.transport.network import Network

_ADDRESS: Final = re.compile(r"git\+((https|file)://([^/?#@]*)/[^?#\s]*)@([0-9a-f]{40})")
_WANTED: Final = "want git+https://HOST/PATH@COMMIT or git+file:///PATH@COMMIT"
_HINT: Final = "a commit is named by its id of 40 digits: git rev-parse HEAD; branches and tags can be moved"
_ROW: Final = re.compile(rb"([0-7]{6}) ([a-z]+) ([0-9a-f]{40}) +([0-9]+|-)\t(.+)", re.DOTALL)
_FILES: Final = (b"100644", b"100755", b"100664")  # the modes of plain files
_COMPLETE: Final = ".complete"
_ENVIRONMENT: Final = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.unpackLimit=1",  # one pack, whose size is bounded
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.allow=never",
    "http.followRedirects=false",
    "http.lowSpeedLimit=17",  # 1,024 bytes in 60 seconds, as for HTTP
    "http.lowSpeedTime=60",
    "transfer.bundleURI=false",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Blob:
    """A plain file of the commit."""

    path: str
    object: bytes
    size_bytes: int


class GitCarrier:
    """The files of one commit. They are fetched when the first is read, into a folder of the `place`."""

    def __init__(self, address: str, place: Folder, network: Network) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None or (match[2] == "file") == bool(match[3]) or not (address.isascii() and address.isprintable()):
            raise Malformed(address[:200], _WANTED, hint=_HINT)
        self._url, self._scheme, self._commit = match[1], match[2], match[4]
        self._address = address
        self._place = place.folder("git")
        self._network = network

    @property
    def is_local(self) -> bool:
        """False: git may open sockets, and what the cache has is read from there."""
        return False

    @property
    def address(self) -> str:
        """The galaxy's address, with its commit."""
        return self._address

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        return self._files.read(path, max_bytes=max_bytes)

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path` of exactly `size_bytes`; raises as `Carrier` says."""
        return self._files.read_exactly(path, size_bytes=size_bytes, progress=progress, digest=digest)

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:  # noqa: ARG002 they are all there
        """Give a block in which nothing is done ahead."""
        return nullcontext()

    @cached_property
    def _files(self) -> LocalCarrier:
        """The commit's files in the cache, where they are laid if they are not there."""
        complete, folder = self._commit + _COMPLETE, self._place.folder(self._commit)
        with blaming(self._place.path), self._place.locked("lock", "alone"):
            if self._place.size_bytes(complete) is None:
                self._sweep()
                self._place.remove_folder(self._commit)
                with temporary_folder("cosmos-git-") as work:
                    _Repository(work, self._url, self._scheme, self._commit, self._network, self._address).lay(folder)
                self._place.write(complete, b"")
        return LocalCarrier(folder)

    def _sweep(self) -> None:
        """Remove the oldest commits of the cache, so that there is room for one more."""
        ages = [
            (held.st_mtime, name)
            for name in self._place.names()
            if name.endswith(_COMPLETE) and (held := self._place.stat(name)) is not None
        ]
        for _, name in sorted(ages)[: max(0, len(ages) - MAX_GIT_COMMITS + 1)]:
            self._place.remove(name)
            self._place.remove_folder(name.removesuffix(_COMPLETE))


class _Repository:
    """A bare repository in the folder `work`, with one commit."""

    def __init__(self, work: Path, url: str, scheme: str, commit: str, network: Network, where: str) -> None:
        self._work, self._commit, self._where = work, commit, where
        self._program = find_program(
            "git",
            "install git; or copy the files of the commit into a folder, and name that folder",
            path=network.programs.get("PATH", os.defpath),
        )
        self._env = {
            "PATH": os.defpath,
            "HOME": str(work),
            "GIT_DIR": str(work / "git"),
            **_ENVIRONMENT,
            **network.proxy_variables,
        }
        authorities = network.authorities() if scheme == "https" else None
        if authorities is not None:
            (work / "authorities.pem").write_bytes(authorities.pem)
            self._env["GIT_SSL_CAINFO"] = str(work / "authorities.pem")
        self._settings = [word for one in (*_SETTINGS, f"protocol.{scheme}.allow=always") for word in ("-c", one)]
        self._fetch(url)

    def lay(self, folder: Folder) -> None:
        """Write the commit's plain files into `folder`, and bring them to the disk. Raises `OSError`."""
        blobs = self._listed()
        with self._run("cat-file", "--batch", stdin=b"".join(blob.object + b"\n" for blob in blobs)) as stream:
            for blob in blobs:
                self._take(stream, blob, folder)
        os.sync()

    def _fetch(self, url: str) -> None:
        self._run("init", "--quiet", "--bare", "--template=").close()
        self._run(
            "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
            url, self._commit,
        ).close()  # fmt: skip
        with self._run("cat-file", "-t", self._commit) as stream:
            if stream.read(80) != b"commit\n":
                raise Refused(self._where, "is not the id of a commit", hint=_HINT)

    def _listed(self) -> list[_Blob]:
        """Return the plain files of the commit. Raises `Refused` if they are too many or too large."""
        with self._run("ls-tree", "-r", "-z", "-l", "--full-tree", self._commit, max_bytes=MAX_GIT_LIST_BYTES) as rows:
            blobs = list(self._blobs(row for row in rows.read().split(b"\0") if row))
        if len(blobs) > MAX_GIT_FILES:
            raise Refused(self._where, f"has {len(blobs)} files, and {MAX_GIT_FILES} are the most")
        if sum(blob.size_bytes for blob in blobs) > MAX_GIT_BYTES:
            raise Refused(self._where, f"has files of more than {MAX_GIT_BYTES} bytes")
        return blobs

    def _blobs(self, rows: Iterable[bytes]) -> Iterable[_Blob]:
        for row in rows:
            match = _ROW.fullmatch(row)
            if match is None:
                raise Refused(self._where, "git lists its files in a form that cosmos does not know")
            if match[2] == b"blob" and match[1] in _FILES:
                path = os.fsdecode(match[5])
                if self._can_be_asked_for(path):
                    yield _Blob(path=path, object=match[3], size_bytes=int(match[4]))

    def _can_be_asked_for(self, path: str) -> bool:
        """Return whether a carrier may have a file at `path`. One that it may not have harms no other file."""
        name = os.fsencode(path)
        if len(name) > MAX_PATH_BYTES or any(len(part) > MAX_NAME_BYTES for part in name.split(b"/")):
            return False
        try:
            return bool(parts_of(path, self._where))
        except Refused:
            return False

    def _take(self, stream: IO[bytes], blob: _Blob, folder: Folder) -> None:
        """Write the next file of `git cat-file --batch` into `folder`."""
        if stream.readline(200) != b"%s blob %d\n" % (blob.object, blob.size_bytes):
            raise WorldFailed(self._where, f"git does not hand out {blob.path}")
        above, _, name = blob.path.rpartition("/")
        left = blob.size_bytes
        with (folder.folder(above) if above else folder).download(name) as file:
            while left and (piece := stream.read(min(left, READ_CHUNK_BYTES))):
                file.write(piece)
                left -= len(piece)
        if left or stream.read(1) != b"\n":
            raise WorldFailed(self._where, f"git does not hand out all of {blob.path}")

    def _run(self, *words: str, stdin: bytes = b"", max_bytes: int = MAX_GIT_BYTES) -> IO[bytes]:
        """Return git's answer as an open file. The kernel ends git if it writes a file of more than `max_bytes`.

        Raises `WorldFailed`.
        """
        with ExitStack() as stack:
            answer = stack.enter_context(tempfile.TemporaryFile(dir=self._work))
            run_program_into(
                answer,
                [self._program, *self._settings, *words],
                env=self._env,
                stdin=stdin,
                timeout_seconds=GIT_SECONDS,
                where=self._where,
                confinement=Confinement(limits={resource.RLIMIT_FSIZE: max_bytes}),
            )
            answer.seek(0)
            stack.pop_all()
            return answer
