"""Updating stars: the newest that fits, all paths in one transaction, and nothing lost that somebody changed."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.device.choose_update import MAX_EXPLAINED
from cosmos.device.install import InstallRequest, install
from cosmos.device.replacing import Counts
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.system import read_universe, rendered
from cosmos.device.uninstall import UninstallRequest, uninstall
from cosmos.device.update import Update, UpdateRequest, rehearse_update, update
from cosmos.device.verify import verify_system
from cosmos.errors import NoSolution, Refused, ScriptFailed
from cosmos.model.constellation import wish as parse_wish
from cosmos.model.image import GalaxySource
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import Silent
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec, make_galaxy
from fakes.programs import Cosmos

EPOCH = 1_767_225_600


def installed(root: Path, *names: str) -> None:
    wishes = []
    for text in names:
        name, limit = parse_wish(text)
        wishes.append(Wish(who="user", name=name, constraint=limit))
    with LiveRoot.open(root) as live:
        install(live, InstallRequest(wishes=wishes, offline=False, epoch=EPOCH), Silent())


def request(*names: str, lowering: tuple[str, ...] = ()) -> UpdateRequest:
    wishes = []
    for text in names:
        name, limit = parse_wish(text)
        wishes.append(Wish(who="user", name=name, constraint=limit))
    return UpdateRequest(wishes=wishes, lowering=tuple(map(StarName, lowering)), offline=False, epoch=EPOCH)


def updated(root: Path, *names: str, lowering: tuple[str, ...] = ()) -> Update:
    with LiveRoot.open(root) as live:
        return update(live, request(*names, lowering=lowering), Silent(), lambda _changes: None)


def moves(done: Update) -> list[str]:
    return [f"{one.name} {one.old} {one.new}" for one in done.moved]


def universe_of(root: Path) -> Universe:
    with LiveRoot.open(root) as live:
        return read_universe(live)


def versions(root: Path) -> dict[str, str]:
    return {str(name): str(star.version) for name, star in universe_of(root).installed.items()}


def own(path: str, kind: str = "file", mode: int = 0o644, **other: object) -> Entry:
    return Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **other})


def tree(root: Path) -> dict[str, bytes]:
    """Everything below `root` but cosmos's own: a folder is empty bytes, a link its target."""
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(("var/cache", "var/lib/cosmos", "etc/cosmos")) or name in ("var", "var/lib", "etc"):
            continue
        found[name] = (
            os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        )
    return found


# --- paths


def test_old_paths_go_new_ones_come_and_those_that_stay_are_not_written_again(galaxy, system: Path) -> None:
    same = {"usr/share/tool/same": b"same"}
    galaxy.star("tool", "1.0.0", {"usr/bin/tool": b"1", **same, "usr/share/tool/old/gone": b"g"})
    installed(system, "tool")
    inode = (system / "usr/share/tool/same").stat().st_ino
    galaxy.star("tool", "1.1.0", {"usr/bin/tool": b"22", **same, "usr/lib/tool/new": b"n"})
    done = updated(system)
    assert moves(done) == ["tool 1.0.0 1.1.0"]
    assert (done.counts.added, done.counts.replaced, done.counts.removed) == (1, 1, 1)
    assert done.size_bytes == 1
    assert tree(system) == {
        "usr": b"",
        "usr/bin": b"",
        "usr/bin/tool": b"22",
        "usr/lib": b"",
        "usr/lib/tool": b"",
        "usr/lib/tool/new": b"n",
        "usr/share": b"",
        "usr/share/tool": b"",
        "usr/share/tool/same": b"same",
    }
    assert (system / "usr/share/tool/same").stat().st_ino == inode
    assert verify_system(system).is_good
    assert updated(system).moved == ()


def test_an_installation_of_the_new_version_has_the_same_record_as_an_update(
    galaxy, system: Path, tmp_path: Path
) -> None:
    old = {"usr/bin/a": b"1", "usr/x/only-old": b"1", "usr/y/b": b"1"}
    new = {"usr/bin/a": b"2", "usr/y/b": b"1", "usr/z/c": own("usr/z/c", "hardlink", 0o755, target=b"usr/y/b")}
    galaxy.star("tool", "1.0.0", old)
    installed(system, "tool")
    galaxy.star("tool", "2.0.0", new)
    updated(system)
    after = universe_of(system)
    assert verify_system(system).is_good
    updated_star = after.installed[StarName("tool")]
    with LiveRoot.open(system) as live:
        live.replace_document(UNIVERSE_PATH, rendered(replace(after, installed={})))
    for name in ("usr/bin/a", "usr/y/b", "usr/z/c"):
        (system / name).unlink()
    for name in ("usr/bin", "usr/y", "usr/z", "usr"):
        (system / name).rmdir()
    installed(system, "tool")
    fresh = universe_of(system).installed[StarName("tool")]
    assert [entry.line for entry in updated_star.entries] == [entry.line for entry in fresh.entries]
    assert updated_star == fresh


def test_a_path_moves_from_one_star_to_another(galaxy, system: Path) -> None:
    galaxy.star("a", "1.0.0", {"usr/bin/x": b"1", "usr/bin/a": b"a"})
    galaxy.star("b", "1.0.0", {"usr/bin/b": b"b", "usr/bin/y": b"1"})
    installed(system, "a", "b")
    galaxy.star("a", "2.0.0", {"usr/bin/a": b"a", "usr/bin/y": b"2"}, dependencies={"c": "*"})
    galaxy.star("b", "2.0.0", {"usr/bin/b": b"b"})
    galaxy.star("c", "1.0.0", {"usr/bin/x": b"2"})
    assert moves(updated(system)) == ["b 1.0.0 2.0.0", "c None 1.0.0", "a 1.0.0 2.0.0"]
    owners = {str(path): name for name, star in universe_of(system).installed.items() for path in star.files}
    assert owners == {"usr/bin/a": "a", "usr/bin/b": "b", "usr/bin/x": "c", "usr/bin/y": "a"}
    assert (system / "usr/bin/x").read_bytes() == b"2"
    assert verify_system(system).is_good


def test_a_path_of_a_star_that_stays_is_not_taken(galaxy, system: Path) -> None:
    galaxy.star("a", "1.0.0", {"usr/bin/a": b"a"})
    galaxy.star("b", "1.0.0", {"usr/bin/b": b"b"})
    installed(system, "a", "b")
    galaxy.star("a", "2.0.0", {"usr/bin/a": b"a", "usr/bin/b": b"mine"})
    before = tree(system)
    with pytest.raises(NoSolution, match="both b and a bring it"):
        updated(system)
    assert tree(system) == before
    assert versions(system) == {"a": "1.0.0", "b": "1.0.0"}


def test_kinds_change_among_files_links_and_hard_links(galaxy, system: Path) -> None:
    galaxy.star(
        "s",
        "1.0.0",
        {
            "usr/a": b"a",
            "usr/b": own("usr/b", "symlink", 0o777, target=b"a"),
            "usr/c": own("usr/c", "hardlink", 0o755, target=b"usr/a"),
            "usr/d": own("usr/d", "hardlink", 0o755, target=b"usr/a"),
            "usr/e": b"e",
        },
    )
    installed(system, "s")
    galaxy.star(
        "s",
        "2.0.0",
        {
            "usr/b": b"b",
            "usr/a": own("usr/a", "hardlink", 0o755, target=b"usr/b"),
            "usr/c": b"a",
            "usr/d": own("usr/d", "symlink", 0o777, target=b"/x"),
            "usr/e": own("usr/e", "symlink", 0o777, target=b"d"),
        },
    )
    updated(system)
    assert (system / "usr/a").stat().st_ino == (system / "usr/b").stat().st_ino
    assert (system / "usr/c").stat().st_nlink == 1
    assert (system / "usr/e").readlink() == Path("d")
    assert verify_system(system).differences == ()


def test_a_hard_link_follows_its_file_also_when_only_one_of_them_changes(galaxy, system: Path) -> None:
    link = own("usr/b", "hardlink", 0o755, target=b"usr/a")
    galaxy.star("s", "1.0.0", {"usr/a": b"a", "usr/b": link})
    installed(system, "s")
    galaxy.star("s", "2.0.0", {"usr/a": b"a2", "usr/b": link})
    updated(system)
    galaxy.star("s", "3.0.0", {"usr/a": b"a2", "usr/b": link, "usr/c": replace(link, path=TreePath(b"usr/c"))})
    updated(system)
    assert len({(system / f"usr/{name}").stat().st_ino for name in "abc"}) == 1
    assert verify_system(system).is_good


TO_REAL = own("usr/x", "symlink", 0o777, target=b"real")
FOLDER, DEEP = {"usr/x/y": b"1", "usr/x/z/w": b"2", "usr/x/e": own("usr/x/e", "dir", 0o700)}, {"usr/x/n/m/o": b"3"}
TURNS = {
    "a file becomes a folder": ({"usr/x": b"1"}, DEEP),
    "a folder becomes a file": (FOLDER, {"usr/x": b"2"}),
    "a link becomes a folder": ({"usr/real/f": b"1", "usr/x": TO_REAL}, {"usr/real/f": b"1", **DEEP}),
    "a link becomes a folder that is named": (
        {"usr/real/f": b"1", "usr/x": TO_REAL},
        {"usr/real/f": b"1", "usr/x": own("usr/x", "dir", 0o711)},
    ),
    "a folder becomes a link": ({"usr/real/f": b"1", **FOLDER}, {"usr/real/f": b"1", "usr/x": TO_REAL}),
    "a folder becomes a link to what was in it": (
        {"usr/x/y": b"1"},
        {"usr/y": b"1", "usr/x": own("usr/x", "symlink", 0o777, target=b"y")},
    ),
    "a folder becomes a hard link": (
        FOLDER,
        {"usr/a": b"a", "usr/x": own("usr/x", "hardlink", 0o755, target=b"usr/a")},
    ),
    "a file becomes a folder with hard links": (
        {"usr/x": b"1"},
        {"usr/x/a": b"a", "usr/x/b": own("usr/x/b", "hardlink", 0o755, target=b"usr/x/a")},
    ),
    "a folder becomes configuration": ({"etc/x/y": b"1", "etc/x.d/y": b"1"}, {"etc/x": b"2", "etc/x.d": b"2"}),
    "configuration becomes a folder": ({"etc/x": b"2"}, {"etc/x/y": b"1"}),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_folder_and_another_entry_change_places(galaxy, system: Path, tmp_path: Path, name: str) -> None:
    old, new = TURNS[name]
    galaxy.star("s", "1.0.0", old)
    installed(system, "s")
    galaxy.star("s", "2.0.0", new)
    done = updated(system)
    assert verify_system(system).is_good
    assert not [path for path in system.rglob(".cosmos-*") if "/var/" not in str(path)]
    assert (done.kept, done.beside) == ((), ())
    galaxy.star("s", "3.0.0", old)
    updated(system)
    assert verify_system(system).is_good
    with LiveRoot.open(system) as live:
        uninstall(live, UninstallRequest(stars=(StarName("s"),)), Silent())
    assert [path for path in tree(system) if path.startswith(("usr", "etc/x"))] == []


def test_an_update_counts_a_folder_that_changes_places_with_a_file(galaxy, system: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/x/y": b"1", "usr/x/z": b"1", "usr/f": b"1"})
    installed(system, "s")
    galaxy.star("s", "2.0.0", {"usr/x": b"2", "usr/f/a": b"2", "usr/f/b": b"2"})
    assert updated(system).counts == Counts(added=3, replaced=0, removed=3)


@pytest.mark.parametrize("mine", ["usr/x/mine", "usr/x/z/mine", "usr/x/folder/", "usr/x/y"])
def test_a_folder_in_which_somebody_has_something_does_not_become_a_file(galaxy, system: Path, mine: str) -> None:
    galaxy.star("s", "1.0.0", FOLDER)
    installed(system, "s")
    galaxy.star("s", "2.0.0", {"usr/x": b"2", "usr/more": b"m"})
    if mine.endswith("/"):
        (system / mine).mkdir()
    else:
        (system / mine).write_bytes(b"mine")
    before = tree(system)
    with pytest.raises(
        NoSolution, match=f"/{mine.rstrip('/')}: s brings a file or link in place of the folder /usr/x"
    ) as said:
        updated(system)
    assert tree(system) == before
    assert said.value.hint is not None
    subprocess.run(["sh", "-euc", said.value.hint.partition(": ")[2]], check=True)
    updated(system)
    assert (system / "usr/x").read_bytes() == b"2"
    assert (system / f"usr/x.{Path(mine).name}.old").exists()


def test_a_folder_at_which_something_is_mounted_does_not_become_a_file(
    galaxy, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galaxy.star("s", "1.0.0", FOLDER)
    installed(system, "s")
    galaxy.star("s", "2.0.0", {"usr/x": b"2"})
    before = tree(system)
    monkeypatch.setattr(LiveRoot, "is_mount", lambda _root, path: path == b"usr/x")
    with pytest.raises(NoSolution, match="/usr/x: s brings a file or link there, but something is mounted") as said:
        updated(system)
    assert said.value.hint == f"if nothing uses it: umount {system}/usr/x"
    assert tree(system) == before


def test_a_file_that_somebody_changed_does_not_become_a_folder(galaxy, system: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/x": b"1", "etc/x": b"1"})
    installed(system, "s")
    galaxy.star("s", "2.0.0", {"usr/x/y": b"2", "etc/x/y": b"2"})
    for name in ("usr/x", "etc/x"):
        (system / name).write_bytes(b"mine")
    before = tree(system)
    with pytest.raises(NoSolution, match=r"/etc/x is to be a folder, and somebody changed it .*; /usr/x is to be"):
        updated(system)
    assert tree(system) == before


@pytest.mark.parametrize("other", [{"usr/x/theirs": b"t"}, {"usr/x": own("usr/x", "dir", 0o755)}], ids=["in", "named"])
@pytest.mark.parametrize("first", ["a", "s"])
def test_a_folder_that_another_star_needs_does_not_become_a_file(galaxy, system: Path, other: dict, first: str) -> None:
    galaxy.star("s", "1.0.0", {"usr/x/y": b"1"})
    galaxy.star("a", "1.0.0", other)
    installed(system, first)
    installed(system, "a" if first == "s" else "s")
    galaxy.star("s", "2.0.0", {"usr/x": b"2"})
    before = tree(system)
    with pytest.raises(NoSolution, match=r"/usr/x: (s brings a file or link there, but|.*belongs to no star)"):
        updated(system)
    assert tree(system) == before
    galaxy.star("a", "2.0.0", {"usr/theirs": b"t"})
    updated(system)
    assert (system / "usr/x").read_bytes() == b"2"
    assert verify_system(system).is_good


def test_what_several_stars_had_in_a_folder_goes_together_and_comes_together(galaxy, system: Path) -> None:
    apart = {"a": {"usr/x/a": b"a", "usr/y": b"y"}, "b": {"usr/x/b/c": b"b"}, "c": {"usr/x/c": b"c"}}
    together = {"a": {"usr/y/a": b"a"}, "b": {"usr/x": b"x", "usr/y/b/c": b"b"}, "c": {"usr/y/c": b"c"}}
    for version, trees in (("1.0.0", apart), ("2.0.0", together), ("3.0.0", apart)):
        for star, files in trees.items():
            galaxy.star(star, version, files)
        if version == "1.0.0":
            installed(system, *apart)
        else:
            updated(system)
        assert verify_system(system).is_good
        files = {path: data for held in trees.values() for path, data in held.items()}
        assert {path: (system / path).read_bytes() for path in files} == files


def test_a_link_becomes_a_folder_only_if_no_star_before_its_own_leads_paths_through_it(galaxy, system: Path) -> None:
    alias = own("usr/alias", "symlink", 0o777, target=b"real")
    galaxy.star("b", "1.0.0", {"usr/real/f": b"1", "usr/alias": alias})
    galaxy.star("a", "1.0.0", {"usr/a": b"a"})
    installed(system, "a", "b")
    galaxy.star("a", "2.0.0", {"usr/alias/a": b"a"})
    galaxy.star("b", "2.0.0", {"usr/real/f": b"1", "usr/alias/g": b"2"})
    before = tree(system)
    with pytest.raises(NoSolution, match="/usr/alias is a link that paths of a lead through"):
        updated(system)
    assert tree(system) == before


def test_a_link_through_which_cosmos_reaches_its_own_files_stays(galaxy, system: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/state": own("usr/state", "symlink", 0o777, target=b"../data")})
    installed(system, "s")
    (system / "var/lib").rename(system / "data")
    (system / "var/lib").symlink_to("../usr/state")
    for number, files in enumerate([{"usr/state/f": b"1"}, {"usr/other": b"1"}], 2):
        galaxy.star("s", f"{number}.0.0", files)
        with pytest.raises(NoSolution, match="/usr/state is a link that paths of cosmos lead through"):
            updated(system)
    with LiveRoot.open(system) as live:
        done = uninstall(live, UninstallRequest(stars=(StarName("s"),)), Silent())
    assert "/usr/state (s): cosmos reaches its own files through it" in map(str, done.kept)
    assert verify_system(system).is_good


def test_a_folder_s_mode_changes_with_its_star_and_stays_as_the_operator_made_it(galaxy, system: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/a": own("usr/a", "dir", 0o755), "usr/b": own("usr/b", "dir", 0o755)})
    installed(system, "s")
    (system / "usr/b").chmod(0o711)
    galaxy.star("s", "2.0.0", {"usr/a": own("usr/a", "dir", 0o700), "usr/b": own("usr/b", "dir", 0o700)})
    updated(system)
    assert stat.S_IMODE((system / "usr/a").stat().st_mode) == 0o700
    assert stat.S_IMODE((system / "usr/b").stat().st_mode) == 0o711
    assert [str(one.path) for one in verify_system(system).differences] == ["usr/b"]


def test_a_folder_that_an_update_opens_to_everybody_needs_the_operators_word(galaxy, system: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/a": own("usr/a", "dir", 0o755)})
    installed(system, "s")
    galaxy.star("s", "2.0.0", {"usr/a": own("usr/a", "dir", 0o777)})
    with pytest.raises(ScriptFailed, match="may be written by everybody"):
        updated(system)
    assert stat.S_IMODE((system / "usr/a").stat().st_mode) == 0o755


def test_a_folder_of_another_star_stays_when_its_maker_moves_away(galaxy, system: Path) -> None:
    galaxy.star("a", "1.0.0", {"usr/share/x/a": b"a"})
    galaxy.star("b", "1.0.0", {"usr/share/x/b": b"b"})
    installed(system, "a")
    installed(system, "b")
    galaxy.star("a", "2.0.0", {"usr/bin/a": b"a"})
    updated(system)
    assert (system / "usr/share/x/b").exists()
    assert verify_system(system).is_good
    galaxy.star("b", "2.0.0", {"usr/bin/b": b"b"})
    updated(system)
    assert not (system / "usr/share").exists()
    assert verify_system(system).is_good


@pytest.fixture
def of_image(galaxy, system: Path) -> Path:
    """A system with the star `base` 1.0.0, whose file /etc/hosts the image's own finish script had overwritten."""
    galaxy.star("base", "1.0.0", {"etc/hosts": b"star", "usr/b": b"1"})
    installed(system, "base")
    universe = universe_of(system)
    star = universe.installed[StarName("base")]
    hosts = InstalledEntry(
        path=TreePath(b"etc/hosts"), kind="file", mode=0o644, uid=0, gid=0, digest=None, size_bytes=5
    )
    rest = tuple(entry for entry in star.entries if entry.path != b"etc/hosts")
    star = replace(star, entries=rest, files=(TreePath(b"usr/b"),))
    universe = replace(universe, installed={StarName("base"): star}, layers={"finish": (hosts,)})
    with LiveRoot.open(system) as live:
        live.replace_document(UNIVERSE_PATH, rendered(universe))
    (system / "etc/hosts").write_text("image")
    return system


def test_a_path_of_the_image_s_own_layers_stays_the_image_s(galaxy, of_image: Path) -> None:
    galaxy.star("base", "2.0.0", {"etc/hosts": b"newer", "usr/b": b"2"})
    updated(of_image)
    assert (of_image / "etc/hosts").read_text() == "image"
    assert list(universe_of(of_image).installed[StarName("base")].files) == [TreePath(b"usr/b")]


def test_a_hard_link_to_a_path_of_the_image_s_own_layers_is_refused(galaxy, of_image: Path) -> None:
    """The star's file is left out, so the link would be a second name of the image's file, with other bytes."""
    link = own("usr/hosts", "hardlink", 0o755, target=b"etc/hosts")
    galaxy.star("base", "2.0.0", {"etc/hosts": b"newer", "usr/b": b"2", "usr/hosts": link})
    before = tree(of_image)
    with pytest.raises(NoSolution) as refused:
        updated(of_image)
    said = "/usr/hosts: base brings it as a hard link to /etc/hosts, which is the image's own"
    assert str(refused.value) == said
    assert tree(of_image) == before
    assert (of_image / "etc/hosts").stat().st_nlink == 1
    assert versions(of_image) == {"base": "1.0.0"}


def test_a_hard_link_between_a_star_s_own_files_is_no_link_to_the_image_s(galaxy, of_image: Path) -> None:
    link = own("usr/c", "hardlink", 0o755, target=b"usr/b")
    galaxy.star("base", "2.0.0", {"etc/hosts": b"newer", "usr/b": b"2", "usr/c": link})
    updated(of_image)
    assert (of_image / "usr/b").samefile(of_image / "usr/c")
    assert (of_image / "usr/c").read_bytes() == b"2"


# --- what somebody changed


@pytest.fixture
def configured(galaxy, system: Path) -> Path:
    galaxy.star("s", "1.0.0", {"etc/s.conf": b"one", "usr/bin/s": b"1"})
    installed(system, "s")
    return system


def beside(system: Path) -> list[str]:
    return [path.name for path in (system / "etc").glob("*.cosmos-new")]


def test_configuration_that_nobody_changed_is_replaced(galaxy, configured: Path) -> None:
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    done = updated(configured)
    assert (configured / "etc/s.conf").read_bytes() == b"two"
    assert done.kept == ()
    assert beside(configured) == []


def test_configuration_that_the_operator_alone_changed_is_kept(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").write_bytes(b"mine")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"one", "usr/bin/s": b"2"})
    done = updated(configured)
    assert (configured / "etc/s.conf").read_bytes() == b"mine"
    assert [str(one) for one in done.kept] == ["/etc/s.conf (s): configuration that you changed: kept"]
    assert beside(configured) == []


def test_configuration_that_both_changed_is_kept_with_the_new_one_beside_it(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").write_bytes(b"mine")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    done = updated(configured)
    assert (configured / "etc/s.conf").read_bytes() == b"mine"
    assert (configured / "etc/s.conf.cosmos-new").read_bytes() == b"two"
    assert done.beside == (TreePath(b"etc/s.conf.cosmos-new"),)
    assert (configured / "usr/bin/s").read_bytes() == b"2"
    # the next version replaces the one beside it
    galaxy.star("s", "3.0.0", {"etc/s.conf": b"three", "usr/bin/s": b"2"})
    updated(configured)
    assert (configured / "etc/s.conf").read_bytes() == b"mine"
    assert (configured / "etc/s.conf.cosmos-new").read_bytes() == b"three"
    # the operator takes it: from then on it is replaced again, and nothing lies beside it
    (configured / "etc/s.conf.cosmos-new").replace(configured / "etc/s.conf")
    galaxy.star("s", "4.0.0", {"etc/s.conf": b"four", "usr/bin/s": b"2"})
    updated(configured)
    assert (configured / "etc/s.conf").read_bytes() == b"four"
    assert beside(configured) == []


def test_the_new_one_beside_configuration_goes_when_the_operator_took_the_same_bytes(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").write_bytes(b"mine")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    updated(configured)
    (configured / "etc/s.conf").write_bytes(b"three")
    galaxy.star("s", "3.0.0", {"etc/s.conf": b"three", "usr/bin/s": b"2"})
    updated(configured)
    assert beside(configured) == []
    assert verify_system(configured).is_good


def test_a_changed_new_one_beside_configuration_is_not_overwritten(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").write_bytes(b"mine")
    (configured / "etc/s.conf.cosmos-new").write_bytes(b"notes")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    with pytest.raises(NoSolution, match=r"/etc/s\.conf\.cosmos-new is there already, and somebody changed it"):
        updated(configured)
    assert (configured / "etc/s.conf.cosmos-new").read_bytes() == b"notes"


def test_deleted_configuration_stays_deleted(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").unlink()
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"one", "usr/bin/s": b"2"})
    updated(configured)
    assert not (configured / "etc/s.conf").exists()
    galaxy.star("s", "3.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    updated(configured)
    assert not (configured / "etc/s.conf").exists()
    assert (configured / "etc/s.conf.cosmos-new").read_bytes() == b"two"


def test_changed_configuration_that_the_star_drops_is_kept(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").write_bytes(b"mine")
    galaxy.star("s", "2.0.0", {"usr/bin/s": b"2"})
    done = updated(configured)
    assert (configured / "etc/s.conf").read_bytes() == b"mine"
    assert [str(one.path) for one in done.kept] == ["etc/s.conf"]


def test_a_changed_program_stops_the_update_by_name_and_survives(galaxy, configured: Path) -> None:
    (configured / "usr/bin/s").write_bytes(b"patched")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    with pytest.raises(NoSolution, match="/usr/bin/s is not what s put there: somebody changed it") as caught:
        updated(configured)
    assert caught.value.exit_code == 3
    assert (configured / "usr/bin/s").read_bytes() == b"patched"
    assert (configured / "etc/s.conf").read_bytes() == b"one"
    (configured / "usr/bin/s").rename(configured / "usr/bin/s.old")
    updated(configured)
    assert (configured / "usr/bin/s").read_bytes() == b"2"
    assert (configured / "usr/bin/s.old").read_bytes() == b"patched"


def test_a_link_planted_where_an_old_file_lay_leads_nothing_out_of_the_root(
    galaxy, configured: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "s").write_bytes(b"1")
    (configured / "usr/bin/s").unlink()
    (configured / "usr/bin/s").symlink_to(outside / "s")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"one"})
    done = updated(configured)
    assert [str(one.path) for one in done.kept if one.path.name == b"s"] == ["usr/bin/s"]
    assert (configured / "usr/bin/s").is_symlink()
    galaxy.star("s", "3.0.0", {"etc/s.conf": b"one", "usr/lib/s": b"3"})
    updated(configured)
    (configured / "usr/lib/s").unlink()
    (configured / "usr/lib").rmdir()
    (configured / "usr/lib").symlink_to(outside)
    galaxy.star("s", "4.0.0", {"etc/s.conf": b"one"})
    with pytest.raises(Refused, match="a folder above it is a link now"):
        updated(configured)
    assert (outside / "s").read_bytes() == b"1"


# --- versions


def test_a_star_whose_dependant_does_not_take_the_new_version_stays_and_says_why(galaxy, system: Path) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/z": b"1"})
    galaxy.star("tool", "1.0.0", {"usr/t": b"1"}, dependencies={"zlib": "^1.3"})
    installed(system, "tool")
    galaxy.star("zlib", "2.0.0", {"usr/z": b"2"})
    done = updated(system)
    assert done.moved == ()
    assert [str(one) for one in done.held] == ["zlib 1.3.1: 2.0.0 is there, but tool 1.0.0 wants zlib ^1.3"]
    galaxy.star("zlib", "1.4.0", {"usr/z": b"3"})
    done = updated(system)
    assert moves(done) == ["zlib 1.3.1 1.4.0"]
    assert [one.newest for one in done.held] != []
    galaxy.star("tool", "2.0.0", {"usr/t": b"2"}, dependencies={"zlib": "^2"})
    assert updated(system, "zlib").moved == (), "a star that was not named keeps its version"
    assert moves(updated(system)) == ["zlib 1.4.0 2.0.0", "tool 1.0.0 2.0.0"]
    assert verify_system(system).is_good


def test_of_many_stars_that_stay_the_first_are_explained_and_the_rest_is_counted(
    galaxy, system: Path, cosmos: Cosmos
) -> None:
    names = [f"lib{number}" for number in range(MAX_EXPLAINED + 2)]
    for name in names:
        galaxy.star(name, "1.0.0", {f"usr/{name}": b"1"})
    galaxy.star("tool", "1.0.0", {"usr/t": b"1"}, dependencies=dict.fromkeys(names, "^1"))
    installed(system, "tool")
    for name in names:
        galaxy.star(name, "2.0.0", {f"usr/{name}": b"2"})
    why = "2.0.0 is there, but tool 1.0.0 wants {} ^1"
    done = updated(system)
    assert [str(one.name) for one in done.held] == names
    assert [one.is_explained for one in done.held] == [True] * MAX_EXPLAINED + [False] * 2
    said = cosmos("update", "--root", system).ok().out.splitlines()
    assert said[:-1] == [
        *(f"held {name} 1.0.0: {why.format(name)}" for name in names[:MAX_EXPLAINED]),
        f"held 2 more: cosmos update --all --root {system} explains each",
    ]
    every = [f"held {name} 1.0.0: {why.format(name)}" for name in names]
    assert cosmos("update", "--all", "--root", system).ok().out.splitlines()[:-1] == every
    row = cosmos("update", "--json", "--root", system).json()
    assert [one["why"] for one in row["held"]] == [f"tool 1.0.0 wants {name} ^1" for name in names]


def test_a_named_star_takes_its_dependencies_along_and_no_other(galaxy, system: Path) -> None:
    for version in ("1.0.0", "2.0.0"):
        galaxy.star("zlib", version, {"usr/z": version.encode()})
        galaxy.star("tool", version, {"usr/t": version.encode()}, dependencies={"zlib": f"^{version[0]}"})
        galaxy.star("other", version, {"usr/o": version.encode()})
        if version == "1.0.0":
            installed(system, "tool", "other")
    assert moves(updated(system, "tool")) == ["zlib 1.0.0 2.0.0", "tool 1.0.0 2.0.0"]
    assert versions(system) == {"zlib": "2.0.0", "tool": "2.0.0", "other": "1.0.0"}


def test_new_dependencies_come_and_dropped_ones_stay_until_autoremove(galaxy, system: Path) -> None:
    galaxy.star("old", files={"usr/o": b"o"})
    galaxy.star("new", files={"usr/n": b"n"})
    galaxy.star("tool", "1.0.0", {"usr/t": b"1"}, dependencies={"old": "*"})
    installed(system, "tool")
    galaxy.star("tool", "2.0.0", {"usr/t": b"2"}, dependencies={"new": "*"})
    done = updated(system)
    assert moves(done) == ["new None 1.0.0", "tool 1.0.0 2.0.0"]
    assert done.unneeded == ("old",)
    stars = universe_of(system).installed
    assert stars[StarName("tool")].asked_by == ("user",)
    assert stars[StarName("tool")].dependencies == ("new",)
    assert (stars[StarName("new")].asked_by, stars[StarName("new")].needed_by) == ((), ("tool",))
    assert stars[StarName("old")].needed_by == ()


def test_an_older_version_comes_only_by_name(galaxy, system: Path) -> None:
    galaxy.star("s", "2.0.0", {"usr/s": b"2"})
    installed(system, "s")
    galaxy.star("s", "1.0.0", {"usr/s": b"1"})
    assert updated(system).moved == ()
    with pytest.raises(NoSolution) as caught:
        updated(system, "s@=1.0.0")
    assert "--allow-downgrade" in (caught.value.hint or "")
    assert versions(system) == {"s": "2.0.0"}
    assert moves(updated(system, "s@=1.0.0", lowering=("s",))) == ["s 2.0.0 1.0.0"]
    assert verify_system(system).is_good


def test_a_star_stays_with_the_galaxy_that_it_came_from(galaxy, system: Path, tmp_path: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/s": b"1"})
    installed(system, "s")
    galaxy.star("s", "1.1.0", {"usr/s": b"2"})
    make_galaxy(tmp_path / "first", "first", [StarSpec("s", "9.0.0", {"usr/s": b"9"})], galaxy.signers)
    with LiveRoot.open(system) as live:
        settings = read_settings(live)
        first = GalaxySource(name=GalaxyName("first"), url=str(tmp_path / "first"))
        write_settings(live, replace(settings, galaxies=(first, *settings.galaxies)))
    done = updated(system)
    assert done.moved == ()
    assert [str(one) for one in done.held] == [
        "s 1.0.0: it came from galaxy core, and galaxy first answers for its name now"
    ]


def test_a_star_that_no_galaxy_lists_any_more_stays_and_that_is_said(galaxy, system: Path) -> None:
    galaxy.star("s", "1.0.0", {"usr/s": b"1"})
    installed(system, "s")
    galaxy.drop(0)
    assert [str(one) for one in updated(system, "s").held] == ["s 1.0.0: no galaxy lists it"]
    with LiveRoot.open(system) as live:
        write_settings(live, replace(read_settings(live), galaxies=()))
        reporter, warned = Silent(), list[str]()
        reporter.warn = warned.append  # type: ignore[method-assign]  # a test's ear
        assert update(live, request(), reporter, lambda _changes: None).moved == ()
    assert warned == [f"no galaxy has newer versions: none is configured; cosmos add-galaxy NAME URL --root {system}"]


def test_a_star_cosmos_that_could_not_read_the_universe_is_refused(galaxy, system: Path) -> None:
    galaxy.star("cosmos", "1.0.0", {"usr/c": b"1"}, provides={"universe-format": "2.0.0"})
    installed(system, "cosmos")
    galaxy.star("cosmos", "2.0.0", {"usr/c": b"2"})
    with pytest.raises(NoSolution, match=r"reads universe\.toml up to format 1"):
        updated(system)


def test_a_star_that_is_not_installed_is_named_with_the_way_to_install_it(system: Path) -> None:
    with pytest.raises(NoSolution, match="tool: is not installed") as caught:
        updated(system, "tool")
    assert (caught.value.hint or "").startswith("cosmos install tool")


def test_a_rehearsal_says_what_the_update_does_and_changes_nothing(galaxy, configured: Path) -> None:
    (configured / "etc/s.conf").write_bytes(b"mine")
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"}, dependencies={"new": "*"})
    galaxy.star("new", files={"usr/n": b"n"})
    before = tree(configured)
    with LiveRoot.open(configured) as live:
        would = rehearse_update(live, request(), Silent())
    assert tree(configured) == before
    did = updated(configured)
    assert replace(did, unowned=0) == would


def test_a_person_who_does_not_agree_leaves_the_system_as_it_was(galaxy, configured: Path) -> None:
    galaxy.star("s", "2.0.0", {"etc/s.conf": b"two", "usr/bin/s": b"2"})
    before = tree(configured)

    def refuse(changes: Update) -> None:
        assert moves(changes) == ["s 1.0.0 2.0.0"]
        assert changes.counts.replaced == 2
        raise KeyboardInterrupt

    with LiveRoot.open(configured) as live, pytest.raises(KeyboardInterrupt):
        update(live, request(), Silent(), refuse)
    assert tree(configured) == before
    assert verify_system(configured).is_good


def test_a_script_of_the_new_version_sees_the_new_dependency(galaxy, system: Path) -> None:
    script = 'function install() if exists("/usr/new") then mkdir("/usr/saw-new") end mkdir("/usr/s") end'
    galaxy.star("dep", "1.0.0", {"usr/old": b"1"})
    galaxy.star("s", "1.0.0", {"f": b""}, script=script, dependencies={"dep": "*"})
    installed(system, "s")
    assert not (system / "usr/saw-new").exists()
    galaxy.star("dep", "2.0.0", {"usr/new": b"2"})
    galaxy.star("s", "2.0.0", {"f": b""}, script=script, dependencies={"dep": "*"})
    updated(system)
    assert (system / "usr/saw-new").is_dir()
    assert not (system / "usr/old").exists()
    assert verify_system(system).is_good
