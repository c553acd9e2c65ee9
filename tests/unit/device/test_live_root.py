"""LiveRoot: reading and writing below a root, and never outside it."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

import pytest

from cosmos.device.kernel import Kernel
from cosmos.device.root import LiveRoot
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.treepath import TreePath


class WithoutOpenat2(Kernel):
    """A kernel from before 5.6, or one that hides openat2 from a container."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_without_openat2_nothing_is_opened(tmp_path: Path, code: int) -> None:
    with pytest.raises(WorldFailed, match="openat2 does not work here") as caught:
        LiveRoot.open(tmp_path, WithoutOpenat2(code))
    assert "Linux 5.6" in (caught.value.hint or "")


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="nowhere: is no cosmos system"):
        LiveRoot.open(tmp_path / "nowhere")


def test_an_absolute_link_means_the_roots_own_path(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "root"
    (inside / "data").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("host")
    (inside / "data/secret").write_text("system")
    (inside / "link").symlink_to("/data")
    (inside / "up").symlink_to("../../../../data")
    with LiveRoot.open(inside) as root:
        for name in (b"link/secret", b"up/secret"):
            assert root.document(TreePath(name), max_bytes=99) == b"system"


def test_a_link_to_a_folder_of_the_host_leads_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "root"
    inside.mkdir()
    (tmp_path / "secret").write_text("host")
    (inside / "link").symlink_to(tmp_path)
    with LiveRoot.open(inside) as root:
        assert root.document(TreePath(b"link/secret"), max_bytes=99) is None


def test_paths_are_mapped_to_where_they_really_lie(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "deep").symlink_to("var/run/../run/x")
    with LiveRoot.open(tmp_path) as root:
        mapped = {
            name: bytes(root.mapped(TreePath(name)))
            for name in (b"bin/ls", b"bin", b"var/run/a/b", b"deep/c", b"new/d")
        }
    assert mapped == {
        b"bin/ls": b"usr/bin/ls",
        b"bin": b"bin",  # the last component is what is written: it is not followed
        b"var/run/a/b": b"run/a/b",
        b"deep/c": b"run/x/c",
        b"new/d": b"new/d",
    }


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with LiveRoot.open(tmp_path) as root, pytest.raises(WorldFailed, match="circle"):
        root.mapped(TreePath(b"a/file"))


def test_a_document_is_replaced_with_its_mode_and_no_leftover(tmp_path: Path) -> None:
    path = TreePath(b"etc/cosmos/x.toml")
    with LiveRoot.open(tmp_path) as root:
        root.replace_document(path, b"old")
        root.replace_document(path, b"new", mode=0o600)
        assert root.document(path, max_bytes=3) == b"new"
        assert root.names(path.parent) == [b"x.toml"]
    assert (tmp_path / "etc/cosmos/x.toml").stat().st_mode & 0o777 == 0o600


def test_a_document_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1234")
    with LiveRoot.open(tmp_path) as root, pytest.raises(Malformed, match="more than 3 bytes"):
        root.document(TreePath(b"x"), max_bytes=3)


def test_a_fifo_in_the_place_of_a_document_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with LiveRoot.open(tmp_path) as root:
        with pytest.raises(Malformed, match="no regular file"):
            root.document(TreePath(b"x"), max_bytes=3)
        with pytest.raises(OSError, match="no regular file"), root.file(TreePath(b"x")):
            pass


def test_a_folder_that_became_a_link_is_refused_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root/usr").mkdir(parents=True)
    with LiveRoot.open(tmp_path / "root") as root:
        place = root.mapped(TreePath(b"usr/x"))
        (tmp_path / "root/usr").rmdir()
        (tmp_path / "root/usr").symlink_to(tmp_path)
        with pytest.raises(Refused, match="became a link"), root.folder(place.parent):
            pass


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    with LiveRoot.open(tmp_path) as root:
        root.remove(TreePath(b"a/b"))
        root.make_folders(TreePath(b"a/c"))
        root.remove(TreePath(b"a/b"))
        assert not root.remove_empty_folder(TreePath(b"a"))
        assert root.remove_empty_folder(TreePath(b"a/c"))
        assert root.remove_empty_folder(TreePath(b"a"))


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "taken").write_text("old")
    with LiveRoot.open(tmp_path) as root, root.folder(TreePath(b"")) as folder:
        with pytest.raises(FileExistsError):
            root.kernel.rename_new(folder, b"new", b"taken")
        root.kernel.rename_new(folder, b"new", b"free")
    assert (tmp_path / "taken").read_text() == "old"
    assert (tmp_path / "free").read_text() == "new"


def test_a_folder_of_a_system_is_no_file_and_no_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "nowhere").symlink_to("/gone")
    (tmp_path / "there").symlink_to("/folder")
    (tmp_path / "folder").mkdir()
    with LiveRoot.open(tmp_path) as root:
        assert root.below(TreePath(b"folder")).is_there()
        assert root.below(TreePath(b"there")).is_there(), "a link is followed inside the root"
        assert not root.below(TreePath(b"missing")).is_there()
        for name in (b"file", b"nowhere"):
            with pytest.raises(WorldFailed, match=f"^/{name.decode()}: not a directory$"):
                root.below(TreePath(name)).is_there()


def test_a_path_in_a_command_is_the_very_name_on_the_disk(tmp_path: Path) -> None:
    """A backslash is shown as \\x5c, which no shell takes for it: units of systemd have such names."""
    (tmp_path / "a system").mkdir()
    with LiveRoot.open(tmp_path / "a system") as root:
        for name in ("etc/plain", "etc/it's", "lib/system\\x2dcrypt.slice", "etc/caf\u00e9", "etc/$(x) `y`"):
            word = root.pasted(TreePath.parse(name), b".old")
            assert shlex.split(word) == [f"{tmp_path}/a system/{name}.old"]
        for raw, said in ((b"etc/a\nrm b", "etc/a\\x0arm b"), (b"etc/\xff", "etc/\\xff")):
            assert root.pasted(TreePath.parse(raw)) == f"'{tmp_path}/a system/{said}'"
