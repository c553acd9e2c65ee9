"""A system's universe in format 2: what an installation records, and how a file of format 1 is taken over."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from cosmos.device.install import InstallRequest, install, rehearse
from cosmos.device.kernel import Kernel
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe, universe_bytes
from cosmos.device.verify import verify_system
from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.names import StarName
from cosmos.model.reporter import Silent
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.tree.installed import published
from cosmos.treepath import TreePath

EPOCH = 1_700_000_000


class Killed(Kernel):
    """A kernel under which the process is killed at its `at`-th call."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at

    def _maybe_die(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        self._maybe_die()
        return super().open_inside(folder, path, flags, resolve=resolve, mode=mode)

    def rename_new(self, folder: int, old: bytes, new: bytes) -> None:
        self._maybe_die()
        super().rename_new(folder, old, new)


def order(*names: str) -> InstallRequest:
    wishes = [Wish(who="user", name=StarName(name), constraint=ANY_VERSION) for name in names]
    return InstallRequest(wishes=wishes, offline=False, epoch=EPOCH)


def put(root: Path, *names: str, kernel: Kernel | None = None) -> None:
    with LiveRoot.open(root, kernel) as live:
        install(live, order(*names), Silent())


def write(root: Path, data: bytes) -> None:
    with LiveRoot.open(root) as live:
        live.replace_document(UNIVERSE_PATH, data)


def held(root: Path) -> bytes:
    with LiveRoot.open(root) as live:
        return universe_bytes(live) or b""


def star(root: Path, name: str) -> Installed:
    with LiveRoot.open(root) as live:
        return read_universe(live).installed[StarName(name)]


@pytest.fixture
def first(repo: Path) -> bytes:
    """A universe that Cosmos 0.1 wrote."""
    return (repo / "tests/fakes/universe-0.1.toml").read_bytes()


# --- what is recorded


def test_the_record_has_what_was_signed_and_where_it_was_published(galaxy, system: Path) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"}, packages=("zlib1g",))
    galaxy.star(
        "tool",
        files={"usr/bin/tool": b"t"},
        script='function install() copy("files/usr/bin/tool", "usr/bin/tool") end',
        dependencies={"zlib": "^1.3"},
        provides={"editor": "2.0.0"},
        conflicts={"other": "*"},
    )
    put(system, "tool")
    tool, zlib = star(system, "tool"), star(system, "zlib")
    assert tool.about is not None
    assert zlib.about is not None
    assert tool.about.script is not None
    assert zlib.about.script is None
    assert [str(need[0]) for need in tool.about.facts.needs] == ["zlib ^1.3"]
    assert list(tool.about.facts.provides) == ["editor"]
    assert [str(one) for one in tool.about.facts.conflicts] == ["other"]
    assert [(one.ecosystem, one.name, one.version) for one in zlib.about.origins] == [("deb", "zlib1g", "1")]
    (archive,) = (galaxy.folder / "packages").glob("tool-*")
    assert tool.about.size_bytes == archive.stat().st_size
    assert tool.archive == Digest.of(archive.read_bytes())
    assert tool.published is not None
    assert tool.published.url == str(galaxy.folder)
    assert tool.published.signers == (galaxy.signers["author"].public.id,)
    (statement,) = (file for file in (galaxy.folder / "stars").glob("tool*.toml"))
    assert tool.published.statement == Digest.of(statement.read_bytes())
    assert (tool.asked_by, tool.needed_by) == (("user",), ())
    assert (zlib.asked_by, zlib.needed_by) == ((), ("tool",))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://anna:secret@galaxy.example/core", "https://galaxy.example/core"),
        ("https://token@galaxy.example:8443/a@b", "https://galaxy.example:8443/a@b"),
        ("http://a:b@c@galaxy.example", "http://galaxy.example"),
        ("/media/stick/co@re", "/media/stick/co@re"),
        ("../galaxy", "../galaxy"),
    ],
)
def test_no_credentials_come_into_the_universe(galaxy, system: Path, url: str, kept: str) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    with LiveRoot.open(system) as live:
        (chosen,) = rehearse(live, order("s"), Silent()).stars
    assert published(chosen.star, url).url == kept


def test_each_entry_has_its_size_time_and_target_and_configuration_is_marked(galaxy, system: Path) -> None:
    link = Entry(path=TreePath(b"usr/l"), kind="symlink", mode=0o777, target=b"to f")
    late = Entry(path=TreePath(b"usr/f"), kind="file", mode=0o644, content=b"file", mtime=EPOCH - 5)
    galaxy.star("s", files={"usr/f": late, "usr/l": link, "etc/s.conf": b"conf"})
    put(system, "s")
    lines = {entry.path.text: entry for entry in star(system, "s").entries}
    assert (lines["usr/f"].size_bytes, lines["usr/f"].mtime) == (4, EPOCH - 5)
    assert int((system / "usr/f").stat().st_mtime) == EPOCH - 5
    assert lines["usr/l"].target == b"to f"
    assert [path for path, entry in lines.items() if entry.is_configuration] == ["etc/s.conf"]
    assert tuple(star(system, "s").files) == tuple(TreePath(path.encode()) for path in ("etc/s.conf", "usr/f", "usr/l"))


def test_each_star_lists_the_folders_that_it_names_or_shares(galaxy, system: Path) -> None:
    named = Entry(path=TreePath(b"usr/share/x"), kind="dir", mode=0o750)
    (system / "usr").mkdir()
    galaxy.star("one", files={"usr/share/x": named, "usr/share/y/1": b"1"})
    galaxy.star("two", files={"usr/share/x": named, "usr/share/y/2": b"2"})
    put(system, "one")
    put(system, "two")

    def folders(name: str) -> dict[str, bool]:
        return {row.path.text: row.is_shared for row in star(system, name).entries if row.kind == "dir"}

    assert folders("one") == {"usr/share": False, "usr/share/x": False, "usr/share/y": False}
    assert folders("two") == {"usr/share": True, "usr/share/x": True, "usr/share/y": True}, "/usr is the operator's"
    assert verify_system(system).differences == ()
    (system / "usr/share/x").chmod(0o700)
    assert [str(one) for one in verify_system(system).differences] == [
        "/usr/share/x (one): has the mode 0700, but was installed with 0750"
    ]
    shutil.rmtree(system / "usr/share/x")
    assert [one.star for one in verify_system(system).differences] == ["one", "two"]


# --- which cosmos may come


def test_a_cosmos_that_cannot_read_this_system_s_universe_is_not_installed(galaxy, system: Path) -> None:
    galaxy.star("cosmos", "0.1.0", {"usr/bin/cosmos": b"old"})
    before = held(system)
    with pytest.raises(NoSolution, match=r"^cosmos 0\.1\.0: reads universe.toml up to format 1, but .* format 2$"):
        put(system, "cosmos")
    assert held(system) == before
    assert not (system / "usr").exists()
    galaxy.star("cosmos", "0.2.0", {"usr/bin/cosmos": b"new"}, provides={"universe-format": "2.0.0"})
    put(system, "cosmos")
    assert (system / "usr/bin/cosmos").read_bytes() == b"new"


def test_a_cosmos_that_another_star_needs_is_judged_as_well(galaxy, system: Path) -> None:
    galaxy.star("cosmos", "0.1.0", {"usr/bin/cosmos": b"old"})
    galaxy.star("tools", type="nebula", dependencies={"cosmos": "*"})
    with pytest.raises(NoSolution, match=r"^cosmos 0\.1\.0: reads universe.toml up to format 1"):
        put(system, "tools")


def test_a_universe_of_a_newer_format_is_refused_and_stays(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    newer = b"universe-version = 3\nmore = true\n"
    write(system, newer)
    with pytest.raises(Malformed, match=r"universe\.toml: universe-version: want at most 2, got 3"):
        put(system, "s")
    assert held(system) == newer
    assert not (system / "usr").exists()


# --- format 1


def test_a_universe_of_format_1_is_taken_over_by_the_next_installation(galaxy, system: Path, first: bytes) -> None:
    write(system, first)
    galaxy.star("s", files={"usr/share/s/f": b"s"})
    put(system, "s")
    now, then = Universe.parse(held(system), "u"), Universe.parse(first, "u")
    assert held(system).startswith(b"universe-version = 2\n")
    assert {name: now.installed[name] for name in then.installed} == then.installed
    assert now.installed.keys() - then.installed.keys() == {"s"}


def test_a_command_that_changes_nothing_does_not_rewrite_format_1(galaxy, system: Path, first: bytes) -> None:
    galaxy.star("s", files={"usr/share/s/f": b"s"})
    write(system, first)
    with LiveRoot.open(system) as live:
        rehearse(live, order("s"), Silent())
    verify_system(system)
    assert held(system) == first


@pytest.mark.slow
@pytest.mark.parametrize("every", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.exhaustive)])
def test_the_take_over_that_is_cut_off_anywhere_leaves_the_old_file_or_the_new_one(
    galaxy, system: Path, first: bytes, every: int
) -> None:
    galaxy.star("s", files={"usr/share/s/f": b"s"})
    old = Universe.parse(first, "u").installed
    seen = {"old": 0, "new": 0}
    step = 0
    while True:
        write(system, first)
        child = os.fork()
        if child == 0:
            try:
                put(system, "s", kernel=Killed(step))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        now = held(system)
        if now == first:
            seen["old"] += 1
        else:
            universe = Universe.parse(now, "u")
            assert {name: universe.installed[name] for name in old} == old
            assert tuple(universe.installed[StarName("s")].files) == (TreePath(b"usr/share/s/f"),)
            seen["new"] += 1
        with pytest.raises(NoSolution), LiveRoot.open(system) as live:  # it settles first
            install(live, order("no-such-star"), Silent())
        settled = Universe.parse(held(system), "u").installed
        assert ("s" in settled) == (system / "usr/share/s/f").exists()
        assert now == first or "s" in settled, "what universe.toml has said stays true"
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        shutil.rmtree(system / "usr", ignore_errors=True)
        step += every
    assert seen["old"] > 20 // every
    assert seen["new"] > 0
