"""Installing stars from a signed galaxy into a system: everything to the end, or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.device.initialise import initialise
from cosmos.device.install import Installation, InstallRequest, install, recover, rehearse
from cosmos.device.kernel import Kernel
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.shelves import Judged, Shelves
from cosmos.device.system import JOURNAL_PATH, TRUST_PATH, read_universe, rendered
from cosmos.device.verify import verify_system
from cosmos.digest import Digest
from cosmos.errors import NoSolution, Refused, ScriptFailed, WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.constraint import ANY_VERSION, Constraint
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName, KeyName, StarName
from cosmos.model.powers import Power, Powers
from cosmos.model.reporter import Silent
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.model.version import SemVer
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

EPOCH = 1_767_225_600


def order(*names: str, who: str = "user", offline: bool = False) -> InstallRequest:
    wishes = []
    for text in names:
        name, at, limit = text.partition("@")
        wishes.append(Wish(who=who, name=StarName(name), constraint=Constraint.parse(limit) if at else ANY_VERSION))
    return InstallRequest(wishes=wishes, offline=offline, epoch=EPOCH)


def installed(root: Path, *names: str, kernel: Kernel | None = None) -> Installation:
    with LiveRoot.open(root, kernel) as live:
        return install(live, order(*names), Silent())


def allow(root: Path, power: Power, *stars: str) -> None:
    """Name stars in the system's policy."""
    with LiveRoot.open(root) as live:
        powers = Powers(named={power: tuple(map(StarName, stars))})
        write_settings(live, replace(read_settings(live), powers=powers))


def universe_of(root: Path) -> Universe:
    with LiveRoot.open(root) as live:
        return read_universe(live)


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below `root` but the cache and the empty journal: mode, and bytes or target."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        mode = path.lstat().st_mode
        if name.startswith("var/cache") or name == "var/lib/cosmos/journal":
            continue
        held = path.read_bytes() if stat.S_ISREG(mode) else os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else b""
        found[name] = (mode, held)
    return found


def own(path: str, kind: str = "file", mode: int = 0o644, **other: object) -> Entry:
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **other})


def test_a_star_and_what_it_needs_are_laid_recorded_and_verified(galaxy, system: Path) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"})
    galaxy.star(
        "tool",
        "2.0.0",
        {
            "usr/bin/tool": own("usr/bin/tool", mode=0o755, content=b"program"),
            "usr/bin/t": own("usr/bin/t", "hardlink", 0o755, target=b"usr/bin/tool"),
            "usr/lib/libz.so": own("usr/lib/libz.so", "symlink", 0o777, target=b"libz.so.1"),
        },
        dependencies={"zlib": "^1.3"},
    )
    done = installed(system, "tool")
    assert [chosen.star.id for chosen in done.stars] == ["zlib-1.3.1", "tool-2.0.0"]
    assert (system / "usr/bin/tool").read_bytes() == b"program"
    assert (system / "usr/bin/tool").stat().st_ino == (system / "usr/bin/t").stat().st_ino
    assert (system / "usr/lib/libz.so").read_bytes() == b"z"
    universe = universe_of(system)
    assert universe.installed[StarName("zlib")].wanted_by == ("tool",)
    assert universe.installed[StarName("tool")].wanted_by == ("user",)
    assert universe.installed[StarName("tool")].dependencies == ("zlib",)
    assert verify_system(system).differences == ()
    assert not (system / str(JOURNAL_PATH)).exists()


def test_a_path_of_the_greatest_length_is_installed_and_the_next_installation_too(galaxy, system: Path) -> None:
    long = "/".join(["usr", *["a" * 250] * 4, "f" * 10])
    galaxy.star("long", files={long: b"x"})
    galaxy.star("more", files={"usr/bin/more": b"x"})
    installed(system, "long")
    installed(system, "more")
    assert (system / long).read_bytes() == b"x"
    assert verify_system(system).differences == ()
    assert not (system / str(JOURNAL_PATH)).exists()


def test_what_is_installed_is_kept_and_gains_a_reason(galaxy, system: Path) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"})
    galaxy.star("tool", files={"usr/bin/tool": b"t"}, dependencies={"zlib": "*"})
    installed(system, "tool")
    galaxy.star("zlib", "1.4.0", {"usr/lib/libz.so.1": b"newer"})
    galaxy.star("more", files={"usr/bin/more": b"m"}, dependencies={"zlib": ">=1.3"})
    done = installed(system, "zlib", "more")
    assert [chosen.star.id for chosen in done.stars] == ["more-1.0.0"]
    assert done.kept == ("zlib",)
    assert (system / "usr/lib/libz.so.1").read_bytes() == b"z"
    assert set(universe_of(system).installed[StarName("zlib")].wanted_by) == {"tool", "user", "more"}
    before = tree(system)
    assert installed(system, "zlib", "more").stars == ()
    assert tree(system) == before


def test_a_star_that_needs_another_version_of_what_is_installed_is_refused(galaxy, system: Path) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"})
    installed(system, "zlib")
    galaxy.star("zlib", "2.0.0", {"usr/lib/libz.so.2": b"z"})
    galaxy.star("new", files={"usr/bin/new": b"n"}, dependencies={"zlib": "^2"})
    before = tree(system)
    with pytest.raises(NoSolution, match="zlib"):
        installed(system, "new")
    assert tree(system) == before


def test_an_installed_star_is_heard_when_it_conflicts(galaxy, system: Path) -> None:
    galaxy.star("zlib", files={"usr/a": b"z"}, conflicts={"zlib-ng": "*"})
    galaxy.star("zlib-ng", files={"usr/b": b"z"})
    installed(system, "zlib")
    with pytest.raises(NoSolution, match="conflicts with zlib-ng"):
        installed(system, "zlib-ng")


def test_what_an_installed_star_provides_is_enough(galaxy, system: Path) -> None:
    galaxy.star("dropbear", files={"usr/a": b"z"}, provides={"ssh-server": "1.0.0"})
    galaxy.star("openssh", files={"usr/b": b"z"}, provides={"ssh-server": "9.0.0"})
    galaxy.star("remote", dependencies={"ssh-server": "*"}, type="nebula")
    installed(system, "dropbear")
    assert [chosen.star.name for chosen in installed(system, "remote").stars] == ["remote"]
    assert universe_of(system).installed[StarName("remote")].dependencies == ("dropbear",)


def test_a_star_lands_where_the_systems_own_links_lead(galaxy, system: Path) -> None:
    (system / "usr/bin").mkdir(parents=True)
    (system / "run").mkdir()
    (system / "bin").symlink_to("usr/bin")
    (system / "var/run").symlink_to("/run")
    galaxy.star(
        "old",
        files={
            "bin/x": b"x",
            "bin/y": own("bin/y", "hardlink", 0o755, target=b"bin/x"),
            "var/run/old/pid": b"1",
        },
    )
    allow(system, "outside", "old")  # its pid lies in /run
    installed(system, "old")
    assert (system / "usr/bin/x").stat().st_ino == (system / "usr/bin/y").stat().st_ino
    assert (system / "run/old/pid").read_bytes() == b"1"
    files = set(universe_of(system).installed[StarName("old")].files)
    assert {TreePath(b"usr/bin/x"), TreePath(b"usr/bin/y"), TreePath(b"run/old/pid")} <= files
    assert verify_system(system).differences == ()


def test_a_system_whose_var_is_a_link_is_a_system_too(galaxy, system: Path) -> None:
    (system / "data").mkdir()
    (system / "var").rename(system / "data/var")
    (system / "var").symlink_to("/data/var")
    allow(system, "outside", "s")
    galaxy.star("s", files={"usr/f": b"s", "var/g": b"g"})
    installed(system, "s")
    assert (system / "data/var/g").exists()
    assert verify_system(system).is_good
    galaxy.star("evil", files={"data/var/lib/cosmos/new-state": b"mine"})
    with pytest.raises(Refused, match="only cosmos itself writes into"):
        installed(system, "evil")


def test_a_star_does_not_change_the_mode_of_a_folder_of_another_star(galaxy, system: Path) -> None:
    galaxy.star("vault", files={"usr/vault": own("usr/vault", "dir", 0o700), "usr/vault/key": b"k"})
    galaxy.star("other", files={"usr/vault": own("usr/vault", "dir", 0o755), "usr/vault/more": b"m"})
    galaxy.star("guest", files={"usr/vault/guest": b"g"})
    with pytest.raises(NoSolution) as caught:
        installed(system, "vault", "other")
    assert "/usr/vault: both " in str(caught.value)
    assert "vault (folder 0700 0:0)" in str(caught.value)
    assert "other (folder 0755 0:0)" in str(caught.value)
    installed(system, "vault")
    with pytest.raises(NoSolution) as caught:
        installed(system, "other")
    assert str(caught.value) == "/usr/vault: both vault (folder 0700 0:0) and other (folder 0755 0:0) bring it"
    assert "leave one of the two out: vault, other" in (caught.value.hint or "")
    installed(system, "guest")
    assert stat.S_IMODE((system / "usr/vault").stat().st_mode) == 0o700


def test_a_folder_for_everybody_in_etc_needs_the_operators_word(galaxy, system: Path) -> None:
    script = 'function install() mkdir("/etc/profile.d", "1777") end'
    galaxy.star("trap", files={"usr/x": b"x"}, script=script)
    with pytest.raises(ScriptFailed, match=r"/etc/profile.d may be written by everybody \(1777\)") as caught:
        installed(system, "trap")
    assert (caught.value.hint or "").endswith('chown = ["trap"]')
    assert not (system / "etc/profile.d").exists()


def test_stars_go_below_the_operators_install_dir(galaxy, system: Path) -> None:
    with LiveRoot.open(system) as root:
        write_settings(root, replace(read_settings(root), install_dir=TreePath(b"opt/stars")))
    galaxy.star("tool", files={"bin/t": b"t", "bin/u": own("bin/u", "hardlink", 0o755, target=b"bin/t")})
    installed(system, "tool")
    assert (system / "opt/stars/bin/u").read_bytes() == b"t"
    assert verify_system(system).differences == ()


def test_a_script_runs_on_the_star_alone_and_sees_its_dependencies(galaxy, system: Path) -> None:
    galaxy.star("base", files={"usr/lib/base": b"b"})
    (system / "host-only").write_text("not for scripts")
    galaxy.star(
        "scripted",
        files={"tool": b"t"},
        script="""
function install()
  copy("tool", "/usr/bin/tool")
  chmod("/usr/bin/tool", "0755")
  symlink("tool", "/usr/bin/alias")
  if exists("/usr/lib/base") then mkdir("/usr/share/saw-base") end
  if exists("/host-only") then mkdir("/usr/share/saw-host") end
end
""",
        dependencies={"base": "*"},
    )
    installed(system, "scripted")
    assert (system / "usr/bin/alias").read_bytes() == b"t"
    assert (system / "usr/share/saw-base").is_dir()
    assert not (system / "usr/share/saw-host").exists()
    galaxy.star(
        "later",
        files={"f": b""},
        script='function install() if exists("/usr/lib/base") then mkdir("/saw") end end',
        dependencies={"base": "*"},
    )
    installed(system, "later")
    assert (system / "saw").is_dir(), "an installed dependency is seen as a new one is"


def test_a_script_that_fails_changes_nothing(galaxy, system: Path) -> None:
    galaxy.star("good", files={"usr/good": b"g"})
    galaxy.star("bad", files={"f": b""}, script="function install() error('no') end", dependencies={"good": "*"})
    before = tree(system)
    with pytest.raises(ScriptFailed):
        installed(system, "bad")
    assert tree(system) == before


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda root: (root / "usr").write_text(""), "/usr"),
        (
            lambda root: ((root / "usr").mkdir(), (root / "usr/f").write_text("mine")),
            "it is there already and belongs to no star",
        ),
        (
            lambda root: ((root / "usr").mkdir(), (root / "usr/f").symlink_to("/etc")),
            "it is there already and belongs to no star",
        ),
        (lambda root: ((root / "usr").mkdir(), (root / "usr/f").mkdir()), "it is there already and belongs to no star"),
    ],
)
def test_what_is_in_the_way_is_named_and_left(
    galaxy, system: Path, prepare: Callable[[Path], object], sentence: str
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    prepare(system)
    before = tree(system)
    with pytest.raises(NoSolution, match=sentence):
        installed(system, "s")
    assert tree(system) == before


def test_the_command_that_moves_away_what_is_there_names_it_on_this_machine(galaxy, system: Path) -> None:
    """The hint named the path inside the system: pasted here, it would have moved a file of this machine."""
    galaxy.star("s", files={"usr/a b": b"s"})
    (system / "usr").mkdir()
    (system / "usr/a b").write_text("mine")
    with pytest.raises(NoSolution) as said:
        installed(system, "s")
    assert said.value.hint is not None
    subprocess.run(["sh", "-euc", said.value.hint.partition(": ")[2]], check=True)
    installed(system, "s")
    assert (system / "usr/a b.old").read_text() == "mine"


def test_two_stars_may_not_own_one_path(galaxy, system: Path) -> None:
    galaxy.star("one", files={"usr/f": b"1"})
    galaxy.star("two", files={"usr/f": b"1"})
    with pytest.raises(NoSolution, match="both one and two bring it"):
        installed(system, "one", "two")
    installed(system, "one")
    with pytest.raises(NoSolution, match="both one and two bring it"):
        installed(system, "two")
    assert list(universe_of(system).installed) == ["one"]


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ("usr/head", "usr/HEAD", "/usr/HEAD: two brings it, and one brings /usr/head"),
        ("usr/Doc/x", "usr/doc", "/usr/doc: two brings it, and one brings /usr/Doc"),
        ("usr/doc", "usr/Doc/x", "/usr/Doc: two brings it, and one brings /usr/doc"),
        ("usr/\u00e9", "usr/e\u0301", "differ by case or Unicode form alone"),
    ],
)
def test_two_stars_whose_paths_differ_by_case_alone_are_refused(
    galaxy, system: Path, one: str, two: str, said: str
) -> None:
    galaxy.star("one", files={one: b"1"})
    galaxy.star("two", files={two: b"2"})
    with pytest.raises(NoSolution, match=said):
        installed(system, "one", "two")
    installed(system, "one")
    with pytest.raises(NoSolution, match=said):
        installed(system, "two")
    assert list(universe_of(system).installed) == ["one"]


def test_one_star_may_bring_paths_that_differ_by_case_alone(galaxy, system: Path) -> None:
    galaxy.star("one", files={"usr/Net/x": b"1", "usr/net/x": b"2", "usr/net/X": b"3"})
    galaxy.star("two", files={"usr/NET/y": b"4"})
    installed(system, "one", "two")
    texts = [(system / "usr" / name).read_bytes() for name in ("Net/x", "net/x", "net/X", "NET/y")]
    assert texts == [b"1", b"2", b"3", b"4"]
    assert verify_system(system).differences == ()


def test_a_path_of_a_star_that_upstream_recorded_is_owned(galaxy, system: Path) -> None:
    with LiveRoot.open(system) as root:
        old = Installed(version=SemVer(1, 0, 0), files=(TreePath(b"usr/f"),))
        root.replace_document(UNIVERSE_PATH, rendered(replace(read_universe(root), installed={StarName("old"): old})))
    galaxy.star("s", files={"usr/f": b"s"})
    with pytest.raises(NoSolution, match="both old and s bring it"):
        installed(system, "s")


@pytest.mark.parametrize(
    "path", ["etc/cosmos/trust.toml", "var/lib/cosmos/universe.toml", "var/lib/cosmos/journal/install"]
)
def test_no_star_may_bring_cosmos_own_state(galaxy, system: Path, path: str) -> None:
    galaxy.star("evil", files={path: b"mine now"})
    before = tree(system)
    with pytest.raises(Refused, match="only cosmos itself writes into"):
        installed(system, "evil")
    assert tree(system) == before


def test_a_star_by_a_key_that_is_not_pinned_is_refused(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"}, signer=SecretKey.generate(KeyName("mallory"), "author"))
    before = tree(system)
    with pytest.raises(Refused):
        installed(system, "s")
    assert tree(system) == before


def test_without_trust_nothing_is_installed(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    (system / str(TRUST_PATH)).unlink()
    with pytest.raises((Refused, NoSolution)):
        installed(system, "s")
    assert not (system / "usr").exists()


@pytest.mark.parametrize(
    "which", ["packages/s-1.0.0.tar.zst", "stars/s-1.0.0.toml", "stars/s-1.0.0.toml.dsse", "meta.toml"]
)
def test_a_changed_byte_in_the_galaxy_is_refused(galaxy, system: Path, which: str) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    file = galaxy.folder / which
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    before = tree(system)
    with pytest.raises((Refused, NoSolution)) as caught:
        installed(system, "s")
    assert caught.value.exit_code in (3, 4)
    assert tree(system) == before


def test_a_rehearsal_says_all_and_lays_nothing(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    before = tree(system)
    with LiveRoot.open(system) as root:
        would = rehearse(root, order("s"), Silent())
    assert [chosen.star.id for chosen in would.stars] == ["s-1.0.0"]
    assert TreePath(b"usr/f") in would.records[StarName("s")].files
    after = tree(system)
    assert b"core" in after.pop("var/lib/cosmos/trust-state.toml")[1]  # an index that was verified is remembered
    assert after == before
    (system / "usr").mkdir()
    (system / "usr/f").write_text("")
    with LiveRoot.open(system) as root, pytest.raises(NoSolution, match="is there already"):
        rehearse(root, order("s"), Silent())


def test_offline_leaves_remote_galaxies_out_and_says_so(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    with LiveRoot.open(system) as root:
        remote = GalaxySource(name=GalaxyName("far"), url="http://192.0.2.1:1/galaxy")
        write_settings(root, Settings(galaxies=(*read_settings(root).galaxies, remote)))
        warned: list[str] = []
        reporter = Silent()
        reporter.warn = warned.append  # type: ignore[method-assign]  # a test's ear
        install(root, order("s", offline=True), reporter)
    assert warned == ["left out: far: http://192.0.2.1:1/galaxy is not reached offline"]
    assert (system / "usr/f").exists()


def two_galaxies(system: Path, galaxy, first: str, second: str) -> None:
    urls = {"core": str(galaxy.folder), "away": str(galaxy.folder.with_name("unplugged"))}
    sources = tuple(GalaxySource(name=GalaxyName(name), url=urls[name]) for name in (first, second))
    with LiveRoot.open(system) as root:
        write_settings(root, Settings(galaxies=sources))


def test_a_galaxy_that_is_away_does_not_hand_its_names_to_those_below_it(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    two_galaxies(system, galaxy, "away", "core")
    with pytest.raises(WorldFailed, match=r"unplugged.*may be the galaxy that answers for s"):
        installed(system, "s")
    two_galaxies(system, galaxy, "core", "away")
    installed(system, "s")
    with pytest.raises(WorldFailed, match="may be the galaxy that answers for other"):
        installed(system, "other")


class FullDisk(Kernel):
    """A kernel whose disk turns out to be full when everything is written."""

    def sync_file_system(self, descriptor: int) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_system_as_it_was(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/share/s/f": b"s" * 100_000})
    before = tree(system)
    with pytest.raises(WorldFailed, match="no space left"):
        installed(system, "s", kernel=FullDisk())
    assert tree(system) == before


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


STEPS = [  # of a command, at which it is killed: every thirteenth; each in `make test-slow`
    pytest.param(13, id="some"),
    pytest.param(1, id="all", marks=pytest.mark.exhaustive),
]


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_killed_at_any_step_the_system_is_as_before_or_complete(galaxy, system: Path, every: int) -> None:
    galaxy.star("base", files={"usr/lib/base/b": b"b" * 5000})
    galaxy.star(
        "s",
        files={
            "usr/share/s/f": b"s" * 5000,
            "usr/share/s/g": own("usr/share/s/g", "hardlink", 0o755, target=b"usr/share/s/f"),
            "usr/share/s/l": own("usr/share/s/l", "symlink", 0o777, target=b"f"),
        },
        dependencies={"base": "*"},
    )
    nothing = tree(system)
    history = system / "var/lib/cosmos/history.jsonl"
    begun = history.read_bytes()
    seen = {"as before": 0, "complete": 0}
    step = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                installed(system, "s", kernel=Killed(step))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status)
        assert was_killed or os.WEXITSTATUS(status) == 0
        is_said_before = bool(universe_of(system).installed)
        if is_said_before:
            assert all((system / path).exists() for path in ("usr/lib/base/b", "usr/share/s/g", "usr/share/s/l"))
        if not was_killed:
            break
        recover_by_the_next_command(system)
        whole = bool(universe_of(system).installed)
        assert whole or not is_said_before, "what universe.toml has said stays true"
        seen["complete" if whole else "as before"] += 1
        if whole:
            assert verify_system(system).differences == ()
            reset(system)
            history.write_bytes(begun)  # which tells of the installation
        assert tree(system) == nothing, f"killed at step {step}"
        step += every
    assert seen["as before"] > 20 // every
    assert seen["complete"] > 0
    assert verify_system(system).differences == ()
    assert Digest.of((system / "usr/share/s/f").read_bytes()) == Digest.of(b"s" * 5000)


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_killed_while_undoing_the_next_command_undoes_the_rest(galaxy, system: Path, every: int) -> None:
    galaxy.star("s", files={f"usr/share/s/{number}": b"s" for number in range(6)})
    nothing = tree(system)
    step = 0
    while True:
        with pytest.raises(WorldFailed):
            installed(system, "s", kernel=FullDiskAndDead())
        assert (system / str(JOURNAL_PATH)).exists(), "the point of this test is a system that was left in the middle"
        child = os.fork()
        if child == 0:
            try:
                with LiveRoot.open(system, Killed(step)) as root:
                    recover(root)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        recover_by_the_next_command(system)
        assert tree(system) == nothing, f"killed at step {step}"
        if not os.WIFSIGNALED(status):
            break
        step += every
    assert step > 10


class FullDiskAndDead(Kernel):
    """A kernel that fails when everything is published, and from then on."""

    def __init__(self) -> None:
        super().__init__()
        self._synced = 0

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        if self._synced > 1:
            raise OSError(5, "Input/output error")
        return super().open_inside(folder, path, flags, resolve=resolve, mode=mode)

    def sync_file_system(self, descriptor: int) -> None:
        self._synced += 1
        if self._synced > 1:
            raise OSError(28, "No space left on device")


def recover_by_the_next_command(system: Path) -> None:
    """Run some other installation, which fails for want of a star, but settles first."""
    with pytest.raises(NoSolution):
        installed(system, "no-such-star")


def reset(system: Path) -> None:
    """Take the system back to nothing installed."""
    with LiveRoot.open(system) as root:
        universe = read_universe(root)
        for path in sorted({row.path for star in universe.installed.values() for row in star.entries}, reverse=True):
            found = root.stat(path)
            if found is not None and stat.S_ISDIR(found.st_mode):
                root.remove_empty_folder(path)
            else:
                root.remove(path)
        root.replace_document(UNIVERSE_PATH, rendered(replace(universe, installed={})))


def test_an_ordinary_user_lays_a_system_of_his_own_and_is_told_what_he_cannot_set(
    galaxy, open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    galaxy.star("s", files={"usr/f": own("usr/f", mode=0o4755, content=b"s", uid=12, gid=34)})
    shutil.copytree(galaxy.folder, open_folder / "galaxy")
    root = open_folder / "root"
    root.mkdir()
    trust = galaxy.trust()
    os.chown(root, 65534, 65534)

    def work() -> str:
        with LiveRoot.open(root) as live:
            initialise(live, arch=Arch("x86_64"), version="1")
            source = GalaxySource(name=GalaxyName("core"), url=str(open_folder / "galaxy"))
            powers = Powers(named={"setuid": (StarName("s"),), "chown": (StarName("s"),)})
            write_settings(live, Settings(galaxies=(source,), powers=powers))
            live.replace_document(TRUST_PATH, trust)
            done = install(live, order("s"), Silent())
        verdict = verify_system(root)
        return f"{done.unowned} {verdict.differences} {verdict.owners_judged}"

    # the two entries that belong to somebody else: the file, and root's folder /usr
    assert as_nobody(work) == "2 () False"
    assert (root / "usr/f").stat().st_uid == 65534
    assert stat.S_IMODE((root / "usr/f").stat().st_mode) == 0o4755
    recorded = {str(entry.path): entry.uid for entry in universe_of(root).installed[StarName("s")].entries}
    assert recorded == {"usr": 0, "usr/f": 12}
    if os.geteuid() == 0:
        os.chown(root, 0, 0)
        assert any(
            "belongs to 65534:65534, but was installed for 12:34" in str(one) for one in verify_system(root).differences
        )


def test_an_ordinary_user_cannot_change_roots_system_and_is_told_how(
    galaxy, open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    shutil.copytree(galaxy.folder, open_folder / "galaxy")
    (open_folder / "cache").mkdir(mode=0o777)
    (open_folder / "cache").chmod(0o777)
    with LiveRoot.open(open_folder) as live:
        initialise(live, arch=Arch("x86_64"), version="1")
        source = GalaxySource(name=GalaxyName("core"), url=str(open_folder / "galaxy"))
        write_settings(live, Settings(galaxies=(source,), cache_dir=TreePath(b"cache")))
        live.replace_document(TRUST_PATH, galaxy.trust())

    def work() -> str:
        with LiveRoot.open(open_folder) as live:
            try:
                install(live, order("s"), Silent())
            except WorldFailed as error:
                return f"{error} ({error.hint})"
        return "installed"

    denied = "/var/lib/cosmos/lock: permission denied"
    assert as_nobody(work) == f"{denied} (run it as root, or as the user that it belongs to)"
    assert not (open_folder / "usr").exists()


def test_an_installation_judges_the_stars_that_it_rests_on_and_no_others(
    galaxy, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work grows with what it installs, and not with the system."""
    galaxy.star("base", files={"usr/base": b"b"})
    galaxy.star("lib", files={"usr/lib/l": b"l"}, dependencies={"base": "*"})
    galaxy.star("other", files={"usr/other": b"o"})
    galaxy.star("again", files={"usr/again": b"a"})
    for name in ("lib", "other", "again"):
        installed(system, name)
    galaxy.star("s", files={"usr/s": b"s"}, dependencies={"lib": "*"})
    judged = list[str]()
    judge = Shelves.judge

    def noted(shelves: Shelves, name: StarName, star: Installed) -> Judged:
        judged.append(name)
        return judge(shelves, name, star)

    monkeypatch.setattr(Shelves, "judge", noted)
    with LiveRoot.open(system) as root:
        rehearse(root, order("s", "again"), Silent())
    assert judged == ["again", "base", "lib"]


def test_a_star_whose_folders_are_one_on_this_system_may_not_bring_one_name_twice(galaxy, system: Path) -> None:
    (system / "usr/one").mkdir(parents=True)
    (system / "usr/two").symlink_to("one")
    galaxy.star("s", files={"usr/one/x": b"1", "usr/two/x": b"2"})
    before = tree(system)
    with pytest.raises(NoSolution, match="s: brings /usr/one/x twice: links on this system merge two") as said:
        installed(system, "s")
    assert str(said.value.hint).startswith("leave s out")
    assert tree(system) == before


@pytest.mark.parametrize(
    ("file", "folder", "together", "later"),
    [
        ("one", "two", "two needs a folder there, but one brings a file or link", "two needs a folder there, but one"),
        ("two", "one", "two brings a file or link there, but one needs a folder", "two brings a file or link there"),
    ],
)
def test_what_is_a_file_to_one_star_and_a_folder_to_another_is_refused_with_both_names(
    galaxy, system: Path, file: str, folder: str, together: str, later: str
) -> None:
    galaxy.star(file, files={"usr/x": b"1"})
    galaxy.star(folder, files={"usr/x/y": b"2"})
    for already, wanted in (((), together), (("one",), later)):
        for name in already:
            installed(system, name)
        before = tree(system)
        with pytest.raises(NoSolution, match=f"^/usr/x: {wanted}") as said:
            installed(system, "one", "two")
        assert said.value.hint == "leave one of the two out: one, two"
        assert tree(system) == before


def test_the_command_that_moves_away_a_file_in_place_of_a_folder_makes_room(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/a b/f": b"s"})
    (system / "usr").mkdir()
    (system / "usr/a b").write_text("mine")
    with pytest.raises(NoSolution, match="s needs a folder there, but something that no star owns is") as said:
        installed(system, "s")
    assert said.value.hint is not None
    subprocess.run(["sh", "-euc", said.value.hint.partition(": ")[2]], check=True)
    installed(system, "s")
    assert (system / "usr/a b.old").read_text() == "mine"
