"""`tar:` sources: an archive as its authors publish it, pinned by its digest.

    source = "tar:https://example.org/hello-2.12.tar.gz"   # or a path from the recipe's folder: "tar:hello-2.12.tar.gz"
    sha256 = "cf04af86…"                                   # in hex; an array where there are several, in their order
    strip = 1                                              # leading folders to take off each path; default 0

The suffix of the name says how the archive is compressed: .tar .tar.gz .tgz .tar.xz .tar.bz2 .tar.zst. Compressed data
may be several streams, one after another. The unpacked size is bounded by the archive's own (cosmos.limits). An address
is http:// or https://. The store keeps a fetched archive under its digest, so the next build needs no network. An
archive at a path is read from there each time.

An archive does not describe itself: version, licence and description come from the recipe. Our own strict reader reads
its entries (pack.untar, `rules="published"`). The archive gives no rights: root owns everything, and no file runs with
its owner's or group's rights. Modes are cut to 1777, and extended attributes are left out, as tar does by default;
install.lua can set them. Times are kept.

`strip = N` is tar's `--strip-components=N`: shorter paths are left out, and [unpack] sees the remaining paths.

KNOWN GAP: no size is pinned, so a download that was cut off starts again from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final, Self
from urllib.parse import unquote, urlsplit

from cosmos.digest import Digest
from cosmos.errors import NoSolution, Refused, WorldFailed
from cosmos.limits import MAX_PATH_COMPONENTS, MAX_STAR_ARCHIVE_BYTES, Budget
from cosmos.model.star import Origin, SourceRules
from cosmos.pack.packed_tar import PACKED_TAR_SUFFIXES, read_packed_tar
from cosmos.pack.treenames import shown
from cosmos.reading import is_there, read_up_to
from cosmos.records import dataclass
from cosmos.stellar.selection import with_links_resolved
from cosmos.store.blobs import StoreFolder
from cosmos.tables import Table
from cosmos.transport.carrier import NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.network import Network
from cosmos.transport.proxies import Proxies
from cosmos.tree.ecosystem import Asked, Contents, Found, Outside, PackedFile
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, climbs_out

SCHEME: Final = "tar"
_PREFIX: Final = f"{SCHEME}:"
_MODES: Final = 0o1777  # rights, and the sticky bit of folders
_ELSEWHERE: Final = "check the network and the address, or fetch the archive yourself and name its file: tar:PATH"


@dataclass(frozen=True, kw_only=True, slots=True)
class TarSource:
    """One archive. `place`: its address, or its path from the recipe's folder."""

    place: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `tar:PATH` or `tar:URL` as a source, or raise `ValueError`.

        >>> TarSource.parse("tar:https://example.org/hello-2.12.tar.gz").file_name
        'hello-2.12.tar.gz'
        """
        source = cls(place=text.removeprefix(_PREFIX))
        if not source.place.isprintable() or not source.file_name.endswith(tuple(PACKED_TAR_SUFFIXES)):
            raise ValueError(f"want tar:PATH or tar:URL of a file with the ending {_endings()}, got {text[:200]!r}")
        if source.is_remote and not _is_address(source.place):
            raise ValueError(f"want an http:// or https:// address without ?, # and @, got {text[:200]!r}")
        if source.is_remote and not _is_one_file(source.place):
            raise ValueError(
                f"want an address whose folders have names (no //) and whose last part is UTF-8, got {text[:200]!r}"
            )
        return source

    @property
    def is_remote(self) -> bool:
        """Whether it has an address, not a path."""
        return "://" in self.place

    @property
    def file_name(self) -> str:
        """The archive's own name."""
        name = PurePosixPath(self.place).name
        return unquote(name) if self.is_remote else name

    @property
    def suffix(self) -> str:
        """How it is compressed, as pack.inflate calls it."""
        return next(form for ending, form in PACKED_TAR_SUFFIXES.items() if self.file_name.endswith(ending))


class TarArchives:
    """Archives on this machine's disk, and at http:// and https:// addresses."""

    rules: ClassVar = SourceRules(
        form="tar:PATH-OR-URL",
        noun="archives",
        keys=("sha256", "strip"),
        version_scheme=None,
        has_description=False,
        listed_by="tar --list",
    )

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    @classmethod
    def at(cls, outside: Outside) -> Self:
        """Return the ecosystem, opened for this machine. Nothing is read yet."""
        return cls(outside)

    @classmethod
    def check_source(cls, source: str) -> None:
        """Raise `ValueError` for an invalid source."""
        TarSource.parse(source)

    @classmethod
    def check_keys(cls, sources: Sequence[str], beside: Table) -> None:
        """Raise `Malformed` unless there is a digest for each of the sources."""
        _digests(sources, beside)
        _strip(beside)

    @classmethod
    def wild_parts(cls, _source: str, _name: str) -> tuple[tuple[str, str], ...]:
        """Return nothing: there are no wildcards."""
        return ()

    def fetch_ahead(self, requests: Sequence[Asked]) -> None:
        """Do nothing: each archive is a request of its own."""

    def find(self, asked: Asked) -> TarMaterial:
        """Return the archives of the sources; raises `Malformed`."""
        digests = _digests(asked.sources, asked.beside)
        archives = [
            _Archive(
                source=TarSource.parse(text),
                digest=digest,
                recipe=asked.beside.source,
                folder=asked.folder,
                version=str(asked.version),
            )
            for text, digest in zip(asked.sources, digests, strict=True)
        ]
        return TarMaterial(archives, _strip(asked.beside), self._outside)


class TarMaterial:
    """The archives of one recipe."""

    __slots__ = ("_archives", "_outside", "_store", "_strip", "found")

    def __init__(self, archives: Sequence[_Archive], strip: int, outside: Outside) -> None:
        self._archives = {archive.found.origin: archive for archive in archives}
        self._strip = strip
        self._outside = outside
        self._store = StoreFolder(outside.home / "store")
        self.found = tuple(archive.found for archive in archives)

    def fetch(self) -> None:
        """Fetch and check the archives that have an address; raises `WorldFailed` or `Refused`."""
        for archive in self._archives.values():
            if archive.source.is_remote:
                self._bytes(archive)

    def packed(self, found: Found) -> PackedFile | None:
        """Return the archive, if it has an address; raises `Refused` for another digest, and `WorldFailed`."""
        archive = self._archives[found.origin]
        if not archive.source.is_remote:
            return None
        return PackedFile(name=archive.source.file_name, data=self._bytes(archive))

    def read(self, found: Found) -> Contents:
        """Return the contents of an archive; raises `Refused` for another digest, and if our reader refuses it."""
        archive = self._archives[found.origin]
        name = archive.source.file_name
        data = self._bytes(archive)
        budget = Budget.of(len(data))
        entries = read_packed_tar(data, archive.source.suffix, name, budget, rules="published")
        return Contents(entries=stripped(entries, self._strip, name), budget=budget)

    def _bytes(self, archive: _Archive) -> bytes:
        """Return the archive's bytes, after a check of their digest."""
        if not archive.source.is_remote:
            return archive.checked(_on_disk(archive.file))
        with self._store.hold():
            kept = self._kept(archive)
            if kept is not None:
                return archive.checked(kept)
            data = archive.checked(self._brought(archive.source))
            self._store.put_made(archive.key, data)
            return data

    def _kept(self, archive: _Archive) -> bytes | None:
        try:
            data = self._store.get_made(archive.key)
            return None if data is None else bytes(data)
        except Refused:  # the store has removed the damaged copy
            name = archive.source.file_name
            self._outside.reporter.warn(f"{name}: the copy in the store is damaged; it is fetched again")
            return None

    def _brought(self, source: TarSource) -> bytes:
        url = source.place
        if self._outside.offline:
            raise WorldFailed(
                url, "is not in the store, and --offline fetches nothing", hint="run it once without --offline"
            )
        self._outside.reporter.step(f"fetch {url}")
        try:
            with Network(proxies=Proxies.of(self._outside.environ)) as network:
                carrier = HttpCarrier(url.rpartition("/")[0], self._store.partial_dir, network)
                return carrier.read(source.file_name, max_bytes=MAX_STAR_ARCHIVE_BYTES)
        except NotThere as error:
            raise NotThere(url, "there is no such file", hint=_ELSEWHERE) from error
        except WorldFailed as error:
            raise WorldFailed(error.where, error.problem, hint=_ELSEWHERE) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Archive:
    """One archive that a recipe names. `recipe` is the recipe's file, for errors."""

    source: TarSource
    digest: Digest
    recipe: str
    folder: Path
    version: str

    @property
    def found(self) -> Found:
        name = self.source.file_name
        origin = Origin(ecosystem=SCHEME, name=name, version=self.version, digest=self.digest)
        return Found(origin=origin, owner=f"the archive {name}")

    @property
    def file(self) -> Path:
        """Its file on the disk, unless it is remote."""
        return self.folder / self.source.place

    @property
    def key(self) -> Digest:
        """Its key in the store."""
        return Digest.of(f"{_PREFIX} {self.digest}".encode())

    def checked(self, data: bytes) -> bytes:
        """Return `data`, or raise `Refused` if it has another digest."""
        got = Digest.of(data)
        if got != self.digest:
            where = self.source.place if self.source.is_remote else str(self.file)
            hint = f"ask its publisher which is right; then replace the archive, or correct sha256 in {self.recipe}"
            raise Refused(where, f"{self.recipe} names {self.digest}, but the archive is {got}", hint=hint)
        return data


def stripped(entries: Sequence[Entry], strip: int, source: str) -> tuple[Entry, ...]:
    """Return `entries`, owned by root, without the first `strip` folders of each path. Shorter paths are left out.

    Raises `Refused` if two paths become one, or a symlink then climbs above the root, and `NoSolution` if nothing is
    left.
    """
    by_path = {entry.path: entry for entry in entries}
    kept = [path for path in by_path if path.count(b"/") >= strip]
    tree: dict[TreePath, Entry] = {}
    for entry in with_links_resolved(by_path, kept).values():
        path = _without(entry.path, strip)
        target = bytes(_without(TreePath(entry.target), strip)) if entry.kind == "hardlink" else entry.target
        if entry.kind == "symlink" and climbs_out(path, target):
            raise Refused(source, f"{shown(entry.path)}: with strip = {strip} its target climbs above the root")
        moved = replace(entry, path=path, target=target, uid=0, gid=0, mode=entry.mode & _MODES, xattrs=())
        held = tree.setdefault(path, moved)
        if held is not moved and not held.kind == moved.kind == "dir":
            raise Refused(source, f"{shown(entry.path)}: with strip = {strip} another path becomes {shown(path)}, too")
    if entries and not tree:
        raise NoSolution(
            source, f"strip = {strip} leaves nothing of it", hint="to see its paths: tar --list --file ARCHIVE"
        )
    return tuple(tree.values())


def _without(path: TreePath, strip: int) -> TreePath:
    return TreePath(path.split(b"/", strip)[-1]) if strip else path


def _digests(sources: Sequence[str], beside: Table) -> tuple[Digest, ...]:
    if "sha256" not in beside:
        name = TarSource.parse(sources[0]).file_name
        hint = f'add to {beside.source} the digest that its publisher states, in hex: sha256 = "…"'
        beside.fail("sha256", f"missing: it pins the archive {name}", hint=hint)
    if isinstance(beside.value("sha256"), list):
        digests = beside.parsed_strings("sha256", Digest.from_hex)
    else:
        digests = (beside.read("sha256", Digest.from_hex),)
    if len(digests) != len(sources):
        beside.fail("sha256", f"want a digest for each of {len(sources)} archives, got {len(digests)}")
    return digests


def _strip(beside: Table) -> int:
    return beside.count("strip", most=MAX_PATH_COMPONENTS) if "strip" in beside else 0


def _on_disk(file: Path) -> bytes:
    if not is_there(file):
        raise NoSolution(str(file), "is not there", hint="a path in `source` starts from the recipe's folder")
    data = read_up_to(file, MAX_STAR_ARCHIVE_BYTES)
    if len(data) > MAX_STAR_ARCHIVE_BYTES:
        raise Refused(str(file), f"has more than {MAX_STAR_ARCHIVE_BYTES} bytes")
    return data


def _is_one_file(url: str) -> bool:
    """Return whether the carrier asks for exactly this address: it joins folders and a name, each of them quoted."""
    parts = urlsplit(url).path.split("/")[1:]
    try:
        name = unquote(parts[-1], errors="strict")
    except UnicodeDecodeError:
        return False
    return all(parts) and "/" not in name and name.isprintable()


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_plain = url.isascii() and not set(url) & set(" ?#@\\") and "/" not in unquote(url.rpartition("/")[2])
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and is_plain


def _endings() -> str:
    return ", ".join(PACKED_TAR_SUFFIXES)
