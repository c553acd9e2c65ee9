"""Removing stars: what is the star's goes, what somebody changed stays and is named, and needed stars are refused."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.device.dependants import unneeded
from cosmos.device.install import InstallRequest, install, rehearse
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.status import system_status
from cosmos.device.system import read_universe, rendered
from cosmos.device.uninstall import (
    Removal,
    UninstallRequest,
    autoremove,
    rehearse_autoremove,
    rehearse_uninstall,
    uninstall,
)
from cosmos.device.verify import verify_system
from cosmos.digest import Digest
from cosmos.errors import NoSolution, Refused, WorldFailed
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.powers import Powers
from cosmos.model.reporter import Silent
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.model.version import SemVer
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

EPOCH = 1_767_225_600


def installed(root: Path, *names: str) -> None:
    wishes = [Wish(who="user", name=StarName(name), constraint=ANY_VERSION) for name in names]
    with LiveRoot.open(root) as live:
        install(live, InstallRequest(wishes=wishes, offline=False, epoch=EPOCH), Silent())


def removed(root: Path, *names: str, force: bool = False, purge: bool = False) -> Removal:
    request = UninstallRequest(stars=tuple(map(StarName, names)), force=force, purge=purge)
    with LiveRoot.open(root) as live:
        return uninstall(live, request, Silent())


def universe_of(root: Path) -> Universe:
    with LiveRoot.open(root) as live:
        return read_universe(live)


def write_universe(root: Path, universe: Universe) -> None:
    with LiveRoot.open(root) as live:
        live.replace_document(UNIVERSE_PATH, rendered(universe))


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


def test_a_star_goes_with_all_that_it_brought(galaxy, system: Path) -> None:
    galaxy.star(
        "tool",
        files={
            "usr/bin/tool": b"tool",
            "usr/bin/t": own("usr/bin/t", "hardlink", 0o755, target=b"usr/bin/tool"),
            "usr/lib/l": own("usr/lib/l", "symlink", 0o777, target=b"/nowhere"),
            "usr/share/tool/deep/f": b"f",
            "usr/share/tool/empty": own("usr/share/tool/empty", "dir", 0o755),
            "etc/tool.conf": b"a=1\n",
        },
    )
    before = tree(system)
    installed(system, "tool")
    done = removed(system, "tool")
    assert tree(system) == before
    assert done.kept == ()
    assert done.files == 5
    assert done.folders == 7
    assert universe_of(system).installed == {}
    assert verify_system(system).is_good


def test_a_rehearsal_says_the_same_and_changes_nothing(galaxy, system: Path) -> None:
    galaxy.star("tool", files={"usr/bin/tool": b"tool", "etc/tool.conf": b"a=1\n"})
    installed(system, "tool")
    (system / "etc/tool.conf").write_text("mine")
    before = tree(system)
    with LiveRoot.open(system) as live:
        would = rehearse_uninstall(live, UninstallRequest(stars=(StarName("tool"),)))
    assert tree(system) == before
    assert would == removed(system, "tool")


def test_a_star_that_another_needs_is_refused_with_both_ways_out(galaxy, system: Path) -> None:
    galaxy.star("zlib", files={"usr/lib/libz.so.1": b"z"})
    galaxy.star("tool", files={"usr/bin/tool": b"t"}, dependencies={"zlib": "*"})
    galaxy.star("suite", dependencies={"tool": "*"}, type="nebula")
    installed(system, "suite")
    before = tree(system)
    with pytest.raises(NoSolution) as caught:
        removed(system, "zlib")
    assert str(caught.value) == "no solution: zlib is needed by tool"
    assert "cosmos uninstall zlib suite tool --root" in (caught.value.hint or "")
    assert "add --force" in (caught.value.hint or "")
    assert tree(system) == before
    assert [name for name, _ in removed(system, "zlib", "suite", "tool").stars] == ["zlib", "suite", "tool"]
    assert tree(system) == {}


def test_with_force_a_needed_star_goes_and_verify_says_what_is_missing(galaxy, system: Path) -> None:
    galaxy.star("zlib", files={"usr/lib/libz.so.1": b"z"})
    galaxy.star("tool", files={"usr/bin/tool": b"t"}, dependencies={"zlib": "*"})
    installed(system, "tool")
    done = removed(system, "zlib", force=True)
    assert done.forced == (("zlib", ("tool",)),)
    verdict = verify_system(system)
    assert [str(one) for one in verdict.differences] == [
        "/var/lib/cosmos/universe.toml: installed.tool: depends on zlib, which is not installed"
    ]
    installed(system, "tool")
    assert verify_system(system).is_good, "the next installation brings it back"


def test_a_need_that_another_star_answers_holds_nothing_back(galaxy, system: Path) -> None:
    galaxy.star("dropbear", files={"usr/a": b"d"}, provides={"ssh-server": "1.0.0"})
    galaxy.star("openssh", files={"usr/b": b"o"}, provides={"ssh-server": "9.0.0"})
    galaxy.star("remote", dependencies={"ssh-server": "*"}, type="nebula")
    installed(system, "dropbear", "openssh", "remote")
    assert universe_of(system).installed[StarName("remote")].dependencies == ("dropbear",)
    removed(system, "dropbear")
    universe = universe_of(system)
    assert universe.installed[StarName("remote")].dependencies == ("openssh",)
    assert universe.installed[StarName("openssh")].needed_by == ("remote",)
    with pytest.raises(NoSolution, match="openssh is needed by remote"):
        removed(system, "openssh")


def test_changed_configuration_stays_and_is_named_and_goes_with_purge(galaxy, system: Path) -> None:
    galaxy.star("tool", files={"etc/tool/a.conf": b"a", "etc/tool/b.conf": b"b", "usr/bin/tool": b"t"})
    installed(system, "tool")
    (system / "etc/tool/a.conf").write_text("mine")
    done = removed(system, "tool")
    assert [str(one) for one in done.kept] == [
        "/etc/tool (tool): the folder is not empty",
        "/etc/tool/a.conf (tool): configuration: somebody changed it since it was installed",
    ]
    assert tree(system) == {"etc/tool": b"", "etc/tool/a.conf": b"mine"}
    (system / "etc/tool/a.conf").unlink()
    installed(system, "tool")
    (system / "etc/tool/a.conf").write_text("mine")
    assert removed(system, "tool", purge=True).kept == ()
    assert not (system / "etc/tool/a.conf").exists()


def test_what_is_not_what_the_star_put_there_stays_even_with_purge(galaxy, system: Path) -> None:
    galaxy.star(
        "tool",
        files={
            "usr/bin/a": b"a",
            "usr/bin/b": b"b",
            "usr/bin/c": b"c",
            "usr/lib/l": own("usr/lib/l", "symlink", 0o777, target=b"a"),
        },
    )
    installed(system, "tool")
    (system / "usr/bin/a").write_text("patched")
    (system / "usr/bin/b").unlink()
    (system / "usr/bin/b").mkdir()
    (system / "usr/bin/c").unlink()
    (system / "usr/bin/c").symlink_to("/etc/cosmos")
    (system / "usr/lib/l").unlink()
    (system / "usr/lib/l").symlink_to("elsewhere")
    done = removed(system, "tool", purge=True)
    assert {str(one.path): one.why for one in done.kept} == {
        "usr": "the folder is not empty",
        "usr/bin": "the folder is not empty",
        "usr/lib": "the folder is not empty",
        "usr/bin/a": "somebody changed it since it was installed",
        "usr/bin/b": "it is a dir now, and was installed as a file",
        "usr/bin/c": "it is a symlink now, and was installed as a file",
        "usr/lib/l": "somebody changed it since it was installed",
    }
    assert (system / "usr/bin/a").read_text() == "patched"
    assert (system / "etc/cosmos/config.toml").exists()


def test_a_changed_mode_or_a_missing_file_holds_nothing_back(galaxy, system: Path) -> None:
    galaxy.star("tool", files={"usr/bin/a": b"a", "usr/bin/b": b"b"})
    installed(system, "tool")
    (system / "usr/bin/a").chmod(0o700)
    (system / "usr/bin/b").unlink()
    assert removed(system, "tool").kept == ()
    assert tree(system) == {}


def test_a_folder_goes_with_the_last_star_that_names_it(galaxy, system: Path) -> None:
    galaxy.star("one", files={"usr/share/x": own("usr/share/x", "dir", 0o750), "usr/share/x/1": b"1"})
    galaxy.star("two", files={"usr/share/x/2": b"2"})
    galaxy.star("three", files={"usr/share/x": own("usr/share/x", "dir", 0o750)})
    installed(system, "one")
    installed(system, "two", "three")
    removed(system, "one")
    assert verify_system(system).is_good
    made = {
        str(entry.path): (name, entry.mode)
        for name, star in universe_of(system).installed.items()
        for entry in star.entries
        if entry.kind == "dir" and not entry.is_shared
    }
    assert made == {"usr": ("two", 0o755), "usr/share": ("two", 0o755), "usr/share/x": ("three", 0o750)}
    removed(system, "two")
    assert verify_system(system).is_good
    assert (system / "usr/share/x").is_dir(), "a star names it, although nothing is in it"
    removed(system, "three")
    assert tree(system) == {}


def test_a_folder_that_the_operator_made_or_uses_stays(galaxy, system: Path) -> None:
    (system / "usr/share").mkdir(parents=True)
    galaxy.star("tool", files={"usr/share/tool/f": b"f", "usr/share/tool/in/g": b"g"})
    installed(system, "tool")
    (system / "usr/share/tool/mine").write_text("mine")
    done = removed(system, "tool")
    assert [str(one) for one in done.kept] == ["/usr/share/tool (tool): the folder is not empty"]
    assert tree(system) == {"usr": b"", "usr/share": b"", "usr/share/tool": b"", "usr/share/tool/mine": b"mine"}


def test_a_folder_of_the_image_s_own_layers_stays(galaxy, system: Path) -> None:
    galaxy.star("tool", files={"opt/tool/f": b"f"})
    with LiveRoot.open(system) as live:
        write_settings(live, replace(read_settings(live), powers=Powers(named={"outside": (StarName("tool"),)})))
    installed(system, "tool")
    opt = InstalledEntry(path=TreePath(b"opt"), kind="dir", mode=0o755, uid=0, gid=0, digest=None, size_bytes=0)
    write_universe(system, replace(universe_of(system), layers={"template": (opt,)}))
    removed(system, "tool")
    assert tree(system) == {"opt": b""}


def test_a_folder_above_that_became_a_link_is_refused_and_nothing_outside_is_touched(
    galaxy, system: Path, tmp_path: Path
) -> None:
    galaxy.star("tool", files={"usr/share/tool/f": b"f", "usr/bin/tool": b"t"})
    installed(system, "tool")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"f")
    (system / "usr/share/tool/f").unlink()
    (system / "usr/share/tool").rmdir()
    (system / "usr/share/tool").symlink_to(outside)
    with pytest.raises(Refused, match=r"/usr/share/tool/f: tool was installed there, but a folder above it is a link"):
        removed(system, "tool")
    assert (outside / "f").exists()
    assert (system / "usr/bin/tool").exists()


@pytest.mark.parametrize(("name", "said"), [("cosmos", "is this program"), ("base", "came with the image")])
def test_cosmos_and_what_the_image_asked_for_go_with_force_alone(galaxy, system: Path, name: str, said: str) -> None:
    galaxy.star(name, files={"usr/bin/it": b"c"}, provides={"universe-format": "2.0.0"})
    installed(system, name)
    star = universe_of(system).installed[StarName(name)]
    if name == "base":
        star = replace(star, asked_by=("image",))
    write_universe(system, replace(universe_of(system), installed={StarName(name): star}))
    with pytest.raises(NoSolution, match=said) as caught:
        removed(system, name)
    assert f"cosmos uninstall {name} --force" in (caught.value.hint or "")
    removed(system, name, force=True)
    assert tree(system) == {}


def test_a_star_that_is_not_installed_is_named(system: Path) -> None:
    with pytest.raises(NoSolution, match="one, two: are not installed"):
        removed(system, "one", "two")


def test_a_star_without_digests_goes_with_purge_alone(system: Path) -> None:
    (system / "usr").mkdir()
    (system / "usr/f").write_text("whatever")
    old = Installed(version=SemVer(1, 0, 0), files=(TreePath(b"usr/f"),))
    write_universe(system, replace(universe_of(system), installed={StarName("old"): old}))
    with pytest.raises(NoSolution, match="without digests"):
        removed(system, "old")
    removed(system, "old", purge=True)
    assert tree(system) == {"usr": b""}


def test_what_nobody_needs_any_more_is_told_and_goes_with_autoremove(galaxy, system: Path) -> None:
    galaxy.star("a", files={"usr/a": b"a"})
    galaxy.star("b", files={"usr/b": b"b"}, dependencies={"a": "*"})
    galaxy.star("c", files={"usr/c": b"c"}, dependencies={"b": "*"})
    galaxy.star("d", files={"usr/d": b"d"}, dependencies={"a": "*"})
    installed(system, "c")
    installed(system, "d")
    old = Installed(version=SemVer(1, 0, 0), files=())
    universe = universe_of(system)
    write_universe(system, replace(universe, installed={**universe.installed, StarName("old"): old}))
    assert unneeded(universe_of(system)) == ()
    assert removed(system, "c").unneeded == ("b",)
    with LiveRoot.open(system) as live:
        assert [name for name, _ in rehearse_autoremove(live, UninstallRequest()).stars] == ["b"]
        assert [name for name, _ in autoremove(live, UninstallRequest(), Silent()).stars] == ["b"]
        assert autoremove(live, UninstallRequest(), Silent()).stars == ()
    assert sorted(universe_of(system).installed) == ["a", "d", "old"]
    removed(system, "d")
    with LiveRoot.open(system) as live:
        autoremove(live, UninstallRequest(), Silent())
    assert sorted(universe_of(system).installed) == ["old"]
    assert tree(system) == {}


def test_two_stars_that_need_each_other_are_removed_when_nobody_else_needs_them(galaxy, system: Path) -> None:
    galaxy.star("a", files={"usr/a": b"a"}, dependencies={"b": "*"})
    galaxy.star("b", files={"usr/b": b"b"}, dependencies={"a": "*"})
    galaxy.star("c", files={"usr/c": b"c"}, dependencies={"a": "*"})
    installed(system, "c")
    assert removed(system, "c").unneeded == ("a", "b")


def test_it_waits_for_another_cosmos_as_long_as_it_is_told(galaxy, system: Path) -> None:
    galaxy.star("tool", files={"usr/bin/tool": b"t"})
    installed(system, "tool")
    request = UninstallRequest(stars=(StarName("tool"),), wait_seconds=0.2)
    with LiveRoot.open(system) as live, at_work(live), LiveRoot.open(system) as other:
        began = time.monotonic()
        with pytest.raises(WorldFailed, match="another cosmos is at work"):
            uninstall(other, request, Silent())
        assert time.monotonic() - began >= 0.2


@pytest.fixture
def kept_configuration(galaxy, system: Path) -> Path:
    """A system without the star `tool`, with its configuration, which the operator changed."""
    galaxy.star("tool", files={"etc/tool/a.conf": b"a", "usr/bin/tool": b"t"})
    installed(system, "tool")
    (system / "etc/tool/a.conf").write_text("mine")
    removed(system, "tool")
    return system


def test_a_star_comes_again_over_its_kept_configuration_and_the_new_one_lies_beside(kept_configuration: Path) -> None:
    system = kept_configuration
    wishes = [Wish(who="user", name=StarName("tool"), constraint=ANY_VERSION)]
    request = InstallRequest(wishes=wishes, offline=False, epoch=EPOCH)
    with LiveRoot.open(system) as live:
        said = rehearse(live, request, Silent())
        done = install(live, request, Silent())
    assert [str(one) for one in done.kept_paths] == [
        "/etc/tool/a.conf (tool): configuration that you changed: the new one is /etc/tool/a.conf.cosmos-new"
    ]
    assert (said.kept_paths, said.beside) == (done.kept_paths, done.beside)
    assert tree(system) == {
        "etc/tool": b"",
        "etc/tool/a.conf": b"mine",
        "etc/tool/a.conf.cosmos-new": b"a",
        "usr": b"",
        "usr/bin": b"",
        "usr/bin/tool": b"t",
    }
    with LiveRoot.open(system) as live:
        assert [path.text for path in system_status(live).new_beside] == ["etc/tool/a.conf.cosmos-new"]
    # it is the star's again, and goes as before; the folder was there when the star came again
    assert [one.path.text for one in removed(system, "tool").kept] == ["etc/tool/a.conf"]
    assert tree(system) == {"etc/tool": b"", "etc/tool/a.conf": b"mine"}


def test_kept_configuration_with_the_stars_own_bytes_is_the_stars_again(kept_configuration: Path) -> None:
    (kept_configuration / "etc/tool/a.conf").write_text("a")
    installed(kept_configuration, "tool")
    assert not (kept_configuration / "etc/tool/a.conf.cosmos-new").exists()
    assert removed(kept_configuration, "tool").kept == ()
    assert tree(kept_configuration) == {"etc/tool": b""}


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_in_the_place_of_configuration_is_named_and_left(kept_configuration: Path, kind: str) -> None:
    path = kept_configuration / "etc/tool/a.conf"
    path.unlink()
    if kind == "link":
        path.symlink_to("/usr/bin/other")
    else:
        path.mkdir()
    before = tree(kept_configuration)
    with pytest.raises(NoSolution, match="is there already and belongs to no star"):
        installed(kept_configuration, "tool")
    assert tree(kept_configuration) == before


def test_a_changed_new_one_beside_kept_configuration_is_not_overwritten(kept_configuration: Path) -> None:
    (kept_configuration / "etc/tool/a.conf.cosmos-new").write_text("mine, too")
    before = tree(kept_configuration)
    with pytest.raises(NoSolution, match=r"install: /etc/tool/a.conf.cosmos-new is there already"):
        installed(kept_configuration, "tool")
    assert tree(kept_configuration) == before


def test_configuration_of_the_image_is_not_taken_over(galaxy, kept_configuration: Path) -> None:
    universe = universe_of(kept_configuration)
    held = InstalledEntry(
        path=TreePath(b"etc/tool/a.conf"), kind="file", mode=0o644, uid=0, gid=0, digest=Digest.of(b"mine")
    )
    write_universe(kept_configuration, replace(universe, layers={"template": (held,)}))
    with pytest.raises(NoSolution, match="is there already and belongs to no star"):
        installed(kept_configuration, "tool")
