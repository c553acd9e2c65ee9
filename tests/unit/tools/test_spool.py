"""A spool keeps few bytes in memory, and the others in a file without a name."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos import spool as spools
from cosmos.content import FileRange
from cosmos.limits import MAX_CONTENT_IN_MEMORY_BYTES, MAX_FILE_IN_MEMORY_BYTES
from cosmos.spool import Spool
from fakes.open_files import open_below


@given(st.lists(st.lists(st.binary(max_size=30), max_size=5), max_size=8), st.integers(min_value=0, max_value=60))
def test_contents_come_back_wherever_they_lie(contents: list[list[bytes]], in_memory: int) -> None:
    spool = Spool(in_memory=in_memory)
    kept = [spool.add(pieces) for pieces in contents]
    assert [bytes(content) for content in kept] == [b"".join(pieces) for pieces in contents]
    assert sum(len(content) for content in kept if not isinstance(content, FileRange)) <= in_memory


def test_many_small_contents_do_not_fill_the_memory_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path, in_memory=100)
    kinds = [type(spool.add([bytes(40)])) for _ in range(4)]
    assert kinds == [bytes, bytes, FileRange, FileRange]


def test_a_large_content_is_in_memory_once_at_most(tmp_path: Path) -> None:
    """A machine of 128 MiB has no room for a second copy of what comes before a content is known to be large."""
    tracemalloc.start()
    try:
        content = Spool(tmp_path).add(bytes([number]) * (64 << 10) for number in range(160))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MAX_FILE_IN_MEMORY_BYTES + (1 << 20)
    assert bytes(content) == b"".join(bytes([number]) * (64 << 10) for number in range(160))


def test_one_content_may_have_all_of_the_memory_of_a_job_that_has_one(tmp_path: Path) -> None:
    whole = bytes(MAX_CONTENT_IN_MEMORY_BYTES)
    assert type(Spool(tmp_path).add([whole])) is FileRange
    spool = Spool(tmp_path).for_one()
    assert spool.add([whole]) is whole
    assert type(spool.add([b"more"])) is FileRange
    assert type(Spool(tmp_path).for_one().add([whole, b"more"])) is FileRange


def test_its_file_has_no_name_and_goes_with_its_last_content(tmp_path: Path) -> None:
    content = Spool(tmp_path, in_memory=0).add([b"large"])
    assert list(tmp_path.iterdir()) == []
    assert len(open_below(tmp_path)) == 1
    assert bytes(content) == b"large"
    del content
    assert open_below(tmp_path) == []


def test_a_spool_beside_a_store_that_cannot_be_written_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"is no folder")
    assert bytes(Spool(tmp_path / "store" / "temporary", in_memory=0).add([b"large"])) == b"large"


@pytest.mark.parametrize(("named", "used"), [("/tmp", "/var/tmp"), ("/somewhere", "/somewhere")])
def test_tmp_is_memory_so_it_is_not_the_place_for_large_files(
    monkeypatch: pytest.MonkeyPatch, named: str, used: str
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: named)
    assert spools._default_folder() == Path(used)


def test_a_content_that_is_added_in_the_middle_of_another_one_is_refused(tmp_path: Path) -> None:
    """Both would have the bytes of the inner one, and nobody would know."""
    spool = Spool(tmp_path, in_memory=4)
    for pieces in ((), (b"before",), (b"before" * MAX_FILE_IN_MEMORY_BYTES,)):

        def nested(pieces: tuple[bytes, ...] = pieces) -> Iterator[bytes]:
            yield from pieces
            spool.add([b"another"])

        with pytest.raises(RuntimeError, match="while another one was"):
            spool.add(nested())
