"""Read a vendored folder (`model.vendored`): its list, its galaxies by name, and whether its files are as listed.

The folder may come on a stick from anybody. So each path in it is opened one component at a time, no link is followed,
and nothing is used before it was judged: documents and archives by the lock and by pinned keys, the files of the image
definition by the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from cosmos.content import Content, content_digest
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.limits import MAX_VENDORED_BYTES
from cosmos.model.names import GalaxyName
from cosmos.model.vendored import VENDORED_FILE, VENDORED_GALAXIES, Vendored, VendoredFile
from cosmos.records import dataclass
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.store.interface import Store
from cosmos.transport.carrier import Expected, NotThere, Progress
from cosmos.transport.local import LocalCarrier


@dataclass(frozen=True, slots=True)
class VendoredCarrier:
    """The files of one galaxy of a vendored folder. No link inside the folder is followed on the way."""

    folder: LocalCarrier
    below: str

    @property
    def is_local(self) -> bool:
        """True: it opens no socket."""
        return True

    @property
    def address(self) -> str:
        """The galaxy's folder."""
        return f"{self.folder.address}/{self.below}"

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        return self.folder.read(f"{self.below}/{path.removeprefix('./')}", max_bytes=max_bytes)

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path` of exactly `size_bytes`; raises as `Carrier` says."""
        below = f"{self.below}/{path.removeprefix('./')}"
        return self.folder.read_exactly(below, size_bytes=size_bytes, progress=progress, digest=digest)

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:
        """Give a block in which nothing is done ahead."""
        return self.folder.expecting(files)


def is_vendored(folder: Path) -> bool:
    """Return whether `folder` is a vendored folder: it has a list of its files."""
    return (folder / VENDORED_FILE).is_file()


def read_vendored(folder: Path) -> Vendored:
    """Return the list of the vendored folder. Raises `Malformed` if it has no list, `Refused` for a link."""
    return Vendored.parse(_list_of(folder), str(folder / VENDORED_FILE))


def vendored_digest(folder: Path) -> Digest:
    """Return the digest of the folder's list, which `cosmos vendor` told. Raises as `read_vendored` does."""
    return Digest.of(_list_of(folder))


def _list_of(folder: Path) -> bytes:
    try:
        return LocalCarrier(folder).read(VENDORED_FILE, max_bytes=MAX_VENDORED_BYTES)
    except NotThere as error:
        raise Malformed(str(folder), f"has no {VENDORED_FILE}", hint="cosmos vendor IMAGE FOLDER makes one") from error


def vendored_source(folder: Path, name: GalaxyName, store: Store) -> Source:
    """Return the galaxy called `name` of the vendored folder. Raises `WorldFailed` if the folder does not carry it."""
    below = f"{VENDORED_GALAXIES}/{name}"
    if f"{below}/{INDEX_FILE}" not in read_vendored(folder).files:
        raise WorldFailed(
            str(folder),
            f"carries no galaxy {name}",
            hint="it was vendored for another lock: cosmos vendor IMAGE FOLDER",
        )
    return Source(galaxy=name, carrier=VendoredCarrier(LocalCarrier(folder), below), store=store, is_vendored=True)


def demand_as_listed(
    folder: Path, paths: Iterable[str], listed: Vendored, progress: Callable[[int], None] = lambda _done: None
) -> None:
    """Raise `Refused` for the first of `paths` that is not as listed, and `WorldFailed` if one is missing."""
    carrier, done = LocalCarrier(folder), 0
    for path in paths:
        one = listed.files[path]
        demand_file(carrier, path, one)
        done += one.size_bytes
        progress(done)


def demand_file(carrier: LocalCarrier, path: str, listed: VendoredFile) -> None:
    """Raise `Refused` unless the file at `path` has the listed size and digest, `NotThere` if it is missing."""
    hint = "the folder was damaged or changed: copy it again, or vendor again"
    try:
        data = carrier.read_exactly(path, size_bytes=listed.size_bytes, progress=lambda _done: None)
    except Refused as error:
        raise Refused(error.where, f"is not as {VENDORED_FILE} lists it: {error.problem}", hint=hint) from error
    found = content_digest(data)
    if found != listed.digest:
        said = f"{VENDORED_FILE} lists {listed.digest}, but the file is {found}"
        raise Refused(f"{carrier.address}/{path}", said, hint=hint)
