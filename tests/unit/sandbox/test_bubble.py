"""What a program in bubblewrap has at `/`. What it cannot do is tried in tests/attack."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cosmos.digest import Digest
from cosmos.sandbox.bubble import HOST_TOOLS, star_tools, tools_digest
from cosmos.sandbox.on_disk import NOBODY, as_its_owner
from cosmos.tree.manifest import ManifestLine, content_root


def test_of_two_layers_with_one_path_the_later_is_in_the_digest_of_tools(entry):
    first, second, other = (
        ManifestLine.of(entry(path, content=content)) for path, content in (("a", b"1"), ("a", b"2"), ("b", b"1"))
    )
    assert tools_digest([first, other, second]) == content_root([second, other])
    assert tools_digest([second, first, other]) == content_root([first, other])


def test_tools_are_the_entries_but_for_where_the_sandbox_has_its_own(entry):
    entries = [
        entry("usr/bin/x", content=b"old"),
        entry("usr/bin/x", content=b"x", mode=0o4755),
        entry("tmp", "symlink", target=b"/home"),
        entry("stage/x"),
        entry("dev/kmsg", "char", rdev=(1, 11)),
        entry("bin", "symlink", target=b"usr/bin"),
    ]
    tools = star_tools(lambda: iter(entries), Digest.of(b""))
    with tools.mounted() as words:
        assert words[::2] == ("--ro-bind", "/")
        root = Path(words[1])
        there = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
        assert there == ["bin", "dev", "proc", "stage", "tmp", "usr", "usr/bin", "usr/bin/x"]
        assert (root / "usr/bin/x").read_bytes() == b"x"
        assert (root / "usr/bin/x").stat().st_mode & 0o7777 == 0o755
    assert not root.exists()


def test_tools_may_be_read_by_everybody_whatever_the_umask(entry):
    old = os.umask(0o077)
    try:
        for tools in (star_tools(lambda: iter([entry("usr/bin/x")]), Digest.of(b"")), HOST_TOOLS):
            with tools.mounted() as words:
                assert {path.stat().st_mode & 0o005 for path in (Path(words[1]), Path(words[1], "usr"))} == {0o005}
    finally:
        os.umask(old)


def test_a_stage_is_filled_as_its_owner_by_one_thread_alone(tmp_path):
    tmp_path.chmod(0o777)
    folder = os.open(tmp_path, os.O_RDONLY)

    def made(name: str) -> int:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        return os.stat(name, dir_fd=folder).st_uid

    ours = os.geteuid()
    with ThreadPoolExecutor(1) as other:
        other.submit(int).result()  # the thread is there before this one changes
        with as_its_owner():
            assert made("in it") == (NOBODY if ours == 0 else ours)
            assert other.submit(made, "beside it").result() == ours
    assert made("after it") == ours
    os.close(folder)
