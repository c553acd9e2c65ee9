"""What a reader refuses, no writer makes: both ask the same limit, and it says its name."""

from __future__ import annotations

import io
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cosmos.device.journal
import cosmos.device.system
import cosmos.model.receipts
import cosmos.pack.image_file
import cosmos.pack.layer
import cosmos.pack.seek_table
import cosmos.pack.star_archive
import cosmos.release.sign
import cosmos.stellar.log
import cosmos.stellar.publishing
import cosmos.tree.manifest
import cosmos.trust.badges
from cosmos import limits, reading
from cosmos.device.root import LiveRoot
from cosmos.device.system import rendered
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_ENVELOPE_BYTES, MAX_ENVELOPE_SIGNATURES, Limit
from cosmos.model.names import Arch
from cosmos.model.receipts import Receipts
from cosmos.model.release import Release
from cosmos.model.reporter import Silent
from cosmos.model.universe import Universe
from cosmos.pack.image_file import image_pieces
from cosmos.pack.layer import pack_layer
from cosmos.reading import read_bounded, read_up_to, read_within
from cosmos.release.draft import FolderDraft
from cosmos.release.sign import sign
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.log import append_to_log
from cosmos.tables import Table
from cosmos.transport.local import LocalCarrier
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, bounded_manifest, manifest_lines, parse_manifest
from cosmos.treepath import TreePath
from cosmos.trust.badges import Claim, add_badge
from cosmos.trust.dsse import Envelope, Signature, assemble
from cosmos.trust.roles import ENVELOPE_LIMITS, GALAXY_TYPE, IN_TOTO_TYPE, LOCK_TYPE, STAR_TYPE
from fakes import kill_driver
from fakes.builders import BUILDER
from fakes.publishing import attester, built, log_key

ENTRY = Entry(path=TreePath(b"usr/x"), kind="file", mode=0o644, content=b"x")
LAYER = pack_layer("star", [ENTRY], 3)
DIGEST = Digest.of(b"x")


def _release(folder: Path) -> object:
    release = Release(subjects=(), external={}, internal={}, resolved=(), builder=BUILDER)
    draft = FolderDraft(folder / "draft", folder / "out")
    try:
        return sign(release, None, draft)
    finally:
        shutil.rmtree(folder / "draft")


def _badge(_: Path) -> object:
    claim = Claim(kind="test", name="x", digest=DIGEST, result="PASSED")
    return add_badge(b"", attester().sign(IN_TOTO_TYPE, claim.to_bytes()), "x")


def _galaxy(folder: Path) -> GalaxyFolder:
    galaxy = GalaxyFolder(root=folder / "galaxy")
    if not galaxy.root.exists():
        kill_driver.prepared(galaxy, built("second"))
    return galaxy


WRITERS: dict[str, tuple[object, Callable[[Path], object]]] = {
    "MAX_MANIFEST_BYTES": (cosmos.tree.manifest, lambda _: bounded_manifest([ManifestLine.of(ENTRY)], "manifest.txt")),
    "MAX_RECEIPTS_BYTES": (cosmos.model.receipts, lambda _: Receipts(stars={}, finish=None).to_bytes()),
    "MAX_RELEASE_BYTES": (cosmos.release.sign, _release),
    "MAX_IMAGE_INDEX_BYTES": (cosmos.pack.image_file, lambda _: list(image_pieces([LAYER], {}))),
    "MAX_FRAME_BYTES": (cosmos.pack.seek_table, lambda _: list(image_pieces([LAYER], {}))),
    "MAX_IMAGE_LAYERS": (cosmos.pack.image_file, lambda _: list(image_pieces([LAYER], {}))),
    "MAX_UNIVERSE_BYTES": (cosmos.device.system, lambda _: rendered(Universe(arch=Arch("x86_64"), version="1"))),
    "MAX_STAR_ARCHIVE_BYTES": (cosmos.pack.star_archive, lambda _: built("x")),
    "MAX_FRAME_BYTES of a star": (cosmos.pack.star_archive, lambda _: built("x")),
    "MAX_BADGES_BYTES": (cosmos.trust.badges, _badge),
    "MAX_INDEX_BYTES": (cosmos.stellar.publishing, lambda folder: kill_driver.index(_galaxy(folder))),
    "MAX_LOG_ENTRIES": (
        cosmos.stellar.log,
        lambda folder: append_to_log(_galaxy(folder), [log_key()], Silent()),
    ),
}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_writer_refuses_what_its_readers_would_and_names_the_limit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module, write), name = WRITERS[name], name.partition(" ")[0]
    write(tmp_path)  # as the limit is
    most = 0
    if (tmp_path / "galaxy").exists():
        shutil.rmtree(tmp_path / "galaxy")
        galaxy = _galaxy(tmp_path)
        most = galaxy.index_file.stat().st_size if name == "MAX_INDEX_BYTES" else 0
    before = _files(tmp_path)
    monkeypatch.setattr(module, name, Limit(name, most))
    with pytest.raises(Refused, match=rf"the limit is {most} \({name}\)"):
        write(tmp_path)
    assert _files(tmp_path) == before, "nothing was written"


def _files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != ".publishing"}


def _document(folder: Path) -> bytes | None:
    with LiveRoot.open(folder) as root:
        return root.document(TreePath(b"small"), max_bytes=limits.MAX_UNIVERSE_BYTES)


READERS: dict[str, Callable[[Path], bytes | None]] = {
    "a document of a system": _document,
    "a file of a galaxy": lambda folder: LocalCarrier(folder).read("small", max_bytes=limits.MAX_STAR_ARCHIVE_BYTES),
    "a file of a recipe": lambda folder: read_bounded(folder / "small", limits.MAX_STAR_ARCHIVE_BYTES),
    "a document beside another": lambda folder: read_up_to(folder / "small", limits.MAX_MANIFEST_BYTES),
}


@pytest.mark.parametrize("name", READERS)
def test_a_small_file_takes_little_memory_however_large_its_limit(name: str, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 900)
    tracemalloc.start()
    try:
        assert READERS[name](tmp_path) == b"x" * 900
        assert tracemalloc.get_traced_memory()[1] < 16 * limits.MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_what_is_read_within_a_limit_ends_one_byte_after_it(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_CHUNK_BYTES", chunk)
    assert read_within(io.BytesIO(b"123456"), 6) == b"123456"
    assert read_within(io.BytesIO(b"1234567"), 6) == b"1234567"
    assert read_within(io.BytesIO(b"12345678"), 6) == b"1234567"


def test_an_envelope_is_never_longer_than_its_readers_take() -> None:
    one = Signature(keyid="k", raw=bytes(64))
    most = MAX_ENVELOPE_BYTES * 3 // 4 - 1000
    Envelope.parse(assemble(STAR_TYPE, bytes(most), [one]), "x")
    with pytest.raises(Refused, match=r"the limit is 1048576 \(MAX_ENVELOPE_BYTES\)"):
        assemble(STAR_TYPE, bytes(most + 2000), [one])
    assert assemble(LOCK_TYPE, bytes(most + 2000), [one])
    many = [Signature(keyid=f"k{number}", raw=bytes(64)) for number in range(MAX_ENVELOPE_SIGNATURES + 1)]
    with pytest.raises(Refused, match=r"the limit is 16 \(MAX_ENVELOPE_SIGNATURES\)"):
        assemble(STAR_TYPE, b"", many)


@pytest.mark.parametrize(
    ("document", "kind"),
    [("MAX_INDEX_BYTES", GALAXY_TYPE), ("MAX_LOCK_BYTES", LOCK_TYPE), ("MAX_RELEASE_BYTES", IN_TOTO_TYPE)],
)
def test_a_document_of_any_size_that_is_allowed_has_room_in_its_envelope(document: str, kind: str) -> None:
    payload: int = getattr(limits, document)
    signatures = MAX_ENVELOPE_SIGNATURES * (256 + 128 + 64)
    assert (payload + 2) // 3 * 4 + signatures + 1024 <= ENVELOPE_LIMITS[kind]


def test_limits_of_what_lists_files_take_ten_times_a_full_desktop() -> None:
    """Debian's desktop with everything has 500,000 files in 3,000 packages; a line has about 150 bytes."""
    files, packages = 5_000_000, 30_000
    path = TreePath(b"usr/share/doc/package/changelog.Debian.gz")
    line = len(f"{ManifestLine.of(Entry(path=path, kind='file', mode=0o644, content=b'x'))}\n")
    assert files * 1.5 * line < limits.MAX_MANIFEST_BYTES
    assert files * 1.5 * (line + 12) < limits.MAX_IMAGE_INDEX_BYTES
    assert files * 300 < limits.MAX_UNIVERSE_BYTES
    assert files * 2 * 300 < limits.MAX_JOURNAL_BYTES
    assert packages * 800 < limits.MAX_LOCK_BYTES
    assert packages * 600 < limits.MAX_RELEASE_BYTES
    assert packages * 400 < limits.MAX_INDEX_BYTES
    assert packages < limits.MAX_IMAGE_LAYERS


def test_a_reader_s_refusal_names_the_limit() -> None:
    with pytest.raises(Malformed, match=r"has 5 bytes, the limit is 4 \(MAX_X\)"):
        Table.parse(b"a = 1", "x", max_bytes=Limit("MAX_X", 4))


@pytest.mark.slow
def test_a_manifest_is_read_line_by_line() -> None:
    """A long manifest's lines pass through memory one at a time."""

    def rows() -> Iterator[bytes]:
        for number in range(20_000):
            yield b"file 0644 0 0 1 %s - - usr/share/%08d -\n" % (str(DIGEST).encode(), number)

    tracemalloc.start()
    assert sum(1 for _ in manifest_lines(rows(), "x")) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    with pytest.raises(Malformed, match="x:2: /usr/a does not come after the path before it"):
        parse_manifest(b"dir 0755 0 0 0 - - - usr/b -\ndir 0755 0 0 0 - - - usr/a -\n", "x")
