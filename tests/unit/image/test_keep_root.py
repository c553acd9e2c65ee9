"""Writing a finished tree out: only where nothing stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.errors import Malformed
from cosmos.image.keep_root import write_root
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.reporters import Remembering

README = Entry(path=TreePath(b"readme"), kind="file", mode=0o640, content=b"x")


@pytest.mark.parametrize("name", ["mine", ".hidden"])
def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"keep")
    with pytest.raises(Malformed, match="is not empty") as caught:
        write_root([README], tmp_path, Remembering())
    assert "--keep-root" in (caught.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("is_there", [True, False])
def test_an_empty_folder_or_none_is_written(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "root").mkdir()
    write_root([README], tmp_path / "root", Remembering())
    assert (tmp_path / "root/readme").read_bytes() == b"x"
    assert (tmp_path / "root/readme").stat().st_mode & 0o7777 == 0o640


def test_modes_and_times_are_the_tree_s_also_beside_hard_links_and_in_folders(tmp_path: Path) -> None:
    folder = Entry(path=TreePath(b"bin"), kind="dir", mode=0o755, mtime=9)
    program = Entry(path=TreePath(b"bin/a"), kind="file", mode=0o4755, content=b"x", mtime=7)
    same = Entry(path=TreePath(b"bin/b"), kind="hardlink", mode=0o4755, target=b"bin/a", mtime=7)
    write_root([folder, program, same], tmp_path / "root", Remembering())
    assert (tmp_path / "root/bin/a").stat().st_mode & 0o7777 == 0o4755
    assert (tmp_path / "root/bin/a").stat().st_nlink == 2
    assert [int((tmp_path / "root" / name).stat().st_mtime) for name in ("bin", "bin/a")] == [9, 7]
