"""What a program in bubblewrap has at `/`. What it cannot do is tried in tests/attack."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from cosmos.digest import Digest
from cosmos.sandbox.bubble import Tools, star_tools, tools_digest
from cosmos.sandbox.on_disk import NOBODY, as_its_owner
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root


def test_of_two_layers_with_one_path_the_later_is_in_the_digest_of_tools(entry):
    first, second, other = (
        ManifestLine.of(entry(path, content=content)) for path, content in (("a", b"1"), ("a", b"2"), ("b", b"1"))
    )
    assert tools_digest([first, other, second]) == content_root([second, other])
    assert tools_digest([second, first, other]) == content_root([first, other])


def laid(tools: Tools) -> dict[str, Entry]:
    return {path.text: entry for path, entry in sorted(tools.tree().items())}


def test_tools_are_the_entries_but_for_where_the_sandbox_has_its_own(entry):
    setuid = entry("usr/bin/x", content=b"x", mode=0o4755, mtime=7)
    link = entry("bin", "symlink", target=b"usr/bin")
    entries = [
        entry("usr/bin/x", content=b"old"),
        setuid,
        entry("tmp", "symlink", target=b"/home"),
        entry("stage/x"),
        entry("dev/kmsg", "char", rdev=(1, 11)),
        link,
    ]
    there = laid(star_tools(lambda: iter(entries), Digest.of(b"")))
    assert {name: there[name] for name in ("bin", "usr/bin/x")} == {"bin": link, "usr/bin/x": setuid}
    own = {name: there[name].kind for name in there.keys() - {"bin", "usr/bin/x"}}
    assert own == dict.fromkeys(("dev", "proc", "stage", "tmp"), "dir")


def test_hard_links_among_tools_keep_their_bytes_when_a_later_star_replaces_the_file(entry):
    first = [
        entry("usr/f", content=b"old"),
        entry("usr/g", "hardlink", target=b"usr/f"),
        entry("usr/h", "hardlink", target=b"usr/f"),
        entry("tmp/f", content=b"t"),
        entry("usr/t", "hardlink", target=b"tmp/f"),
    ]
    tools = star_tools(lambda: iter([*first, entry("usr/f", content=b"new")]), Digest.of(b""))
    there = laid(tools)
    assert {name: bytes(there[name].content) for name in ("usr/f", "usr/g", "usr/t")} == {
        "usr/f": b"new", "usr/g": b"old", "usr/t": b"t"
    }  # fmt: skip
    assert (there["usr/h"].kind, there["usr/h"].target) == ("hardlink", b"usr/g")


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
