"""`cosmos bootstrap`: a lock and a stick make a whole system of an empty folder, or go on with an interrupted one."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.image import bootstrapping
from cosmos.locking import alone_if_free
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.crash_states import recorded
from fakes.galaxies import StarSpec, index_by_stellar, make_galaxy, make_home, make_signers
from fakes.images import APP, BASE, ImageFixture, copy_image, make_image
from fakes.programs import REPO, Cosmos

OWNED = StarSpec(
    "owned",
    files={
        "usr/bin/owned": Entry(path=TreePath(b"usr/bin/owned"), kind="file", mode=0o4755, content=b"x", uid=0, gid=7),
        "usr/bin/alias": Entry(
            path=TreePath(b"usr/bin/alias"), kind="hardlink", mode=0o4755, target=b"usr/bin/owned", gid=7
        ),
        "usr/share/odd name": b"odd",
    },
)
TABLES = '[policy]\nsetuid = ["owned"]\nchown = ["owned"]\n[[output]]\nformat = "tar.zst"\n'
PATHS = """
[paths]
"dev/null" = { kind = "char", mode = "0666", major = 1, minor = 3 }
"tmp" = { kind = "dir", mode = "1777" }
"""


@pytest.fixture(scope="module")
def image_once(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> ImageFixture:
    wishes, where = {"app": "*", "owned": "*"}, tmp_path_factory.mktemp("once")
    made = make_image(where / "there", (BASE, APP, OWNED), wishes, more='finish = "finish.lua"\n', tables=TABLES)
    (made.folder / "finish.lua").write_text('function install()\n  write("/etc/finished", "yes\\n")\nend\n')
    with (made.folder / "template/template.toml").open("a") as template:
        template.write(PATHS)
    succeed("freeze", made.folder, "--home", made.home)
    succeed("build", made.folder, "--home", made.home, "--key", made.secret_key, "--keep-root", where / "kept")
    return made


@pytest.fixture
def image(image_once: ImageFixture, tmp_path: Path) -> ImageFixture:
    """An image in `there`, and its root in `kept`, with its links and devices."""
    there = image_once.folder.parent
    subprocess.run(["cp", "-a", there.with_name("kept"), tmp_path], check=True)
    return copy_image(image_once, tmp_path / "there")


@pytest.fixture
def stick(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> Path:
    cosmos("vendor", image.folder, tmp_path / "stick", "--home", image.home).ok()
    shutil.copytree(image.out, tmp_path / "release")
    shutil.copy(image.public_key, tmp_path / "release.pub")
    shutil.move(image.folder.parent, tmp_path / "gone")
    return tmp_path / "stick"


@pytest.fixture
def words(stick: Path, cosmos: Cosmos, tmp_path: Path) -> tuple[object, ...]:
    """The command on a machine that has nothing but the stick, and has accepted its keys."""
    trust, home = stick / "trust" / "trust.toml", tmp_path / "away"
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--home", home).ok()
    lock = stick / "image" / "universe.lock.toml"
    return ("bootstrap", "--root", tmp_path / "root", "--lock", lock, "--galaxy", stick, "--home", home)


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root`: kind, mode, owner, time, and bytes, target or number."""
    found: dict[str, tuple[object, ...]] = {}
    for place in sorted(root.rglob("*")):
        held = place.lstat()
        data: object = held.st_rdev
        if stat.S_ISREG(held.st_mode):
            data = (place.read_bytes(), held.st_nlink)
        elif stat.S_ISLNK(held.st_mode):
            data = place.readlink()
        time = int(held.st_mtime)
        found[str(place.relative_to(root))] = (oct(held.st_mode), held.st_uid, held.st_gid, time, data)
    return found


def demand_as_recorded(cosmos: Cosmos, root: Path) -> None:
    """Demand that the system is as its universe says. Only root can make the device in it."""
    verdict = cosmos("verify", "--root", root)
    if os.geteuid() == 0:
        verdict.ok()
    else:
        assert (verdict.code, "1 difference" in verdict.err, "/dev/null" in verdict.err) == (7, True, True)


def test_an_empty_folder_becomes_the_system_of_the_release(words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    release = ("--release", tmp_path / "release", "--key", tmp_path / "release.pub")
    row = cosmos(*words, *release, "--json").json()
    assert (row["as-released"], row["continued"], row["stars"]) == (True, False, 3)
    assert tree(tmp_path / "root") == tree(tmp_path / "kept")
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o755
    demand_as_recorded(cosmos, tmp_path / "root")


def test_two_do_not_bootstrap_one_system(words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    lock = root / bootstrapping._LOCK
    with alone_if_free(lock) as is_ours:
        assert is_ours
        told = cosmos(*words).fails(5).err
        assert f"{root}: another cosmos bootstraps it" in told
        assert "wait until it is done" in told
        assert [*root.iterdir()] == [lock]
    cosmos(*words).ok()
    demand_as_recorded(cosmos, root)


@pytest.mark.objective("SO-25")
def test_another_release_is_another_system_and_nothing_is_written(
    image: ImageFixture, words: tuple, cosmos: Cosmos, tmp_path: Path
) -> None:
    other = make_image(tmp_path / "other", (BASE,), signers=image.signers)
    cosmos("freeze", other.folder, "--home", other.home).ok()
    cosmos("build", other.folder, "--home", other.home, "--key", other.secret_key).ok()
    said = cosmos(*words, "--release", other.out, "--key", other.public_key).fails(7).err
    assert "but the release names" in said
    assert not (tmp_path / "root").exists()


@pytest.mark.objective("SO-25")
def test_a_release_that_was_changed_is_refused(words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    with (tmp_path / "release/manifest.txt").open("a") as manifest:
        manifest.write("x")
    cosmos(*words, "--release", tmp_path / "release", "--key", tmp_path / "release.pub").fails(7)
    assert not (tmp_path / "root").exists()


def test_a_folder_that_is_not_empty_is_left_alone(words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/mine").write_text("mine")
    assert "neither empty nor" in cosmos(*words).fails(2).err
    assert list(tree(tmp_path / "root")) == ["mine"]
    shutil.rmtree(tmp_path / "root")
    (tmp_path / "root").symlink_to(tmp_path / "kept")
    cosmos(*words).fails(2)


def test_a_finished_system_is_not_bootstrapped_again(words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos(*words).ok()
    before = tree(tmp_path / "root")
    cosmos(*words).fails(2)
    assert tree(tmp_path / "root") == before


DRIVER = """
import os, sys
sys.path[:0] = [{builder!r}]
root, left = os.fsencode(sys.argv[1]), int(sys.argv[2])
EVENTS = ("open", "os.mkdir", "os.symlink", "os.link", "os.chmod", "os.chown", "os.utime", "os.rename", "os.remove")
def hook(event, words):
    global left
    if event in EVENTS and isinstance(words[0], (str, bytes, os.PathLike)):
        paths = [os.fsencode(one) for one in words[:2] if isinstance(one, (str, bytes, os.PathLike))]
        if any(path.startswith(root) for path in paths):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)
sys.addaudithook(hook)
from cosmos.cli.cosmos.main import main
sys.argv[1:] = sys.argv[3:]
main()
"""


def killed_at(driver: Path, root: Path, steps: int, words: tuple) -> bool:
    """Run the command in a process that is killed before its change number `steps`; return whether it was."""
    line = [sys.executable, driver, root, steps, *words]
    ran = subprocess.run(list(map(str, line)), capture_output=True, env={"PATH": os.defpath})
    assert ran.returncode in (0, -signal.SIGKILL), ran.stderr.decode()
    return ran.returncode != 0


def test_killed_at_any_change_it_goes_on_to_the_same_system(words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    """Each run is killed a few changes later than the one before, over what that one left."""
    driver, root, killed = tmp_path / "driver.py", tmp_path / "root", 0
    driver.write_text(DRIVER.format(builder=str(REPO / "builder")))
    for steps in range(0, 400, 7):
        if not killed_at(driver, root, steps, words):
            break
        killed += 1
        if (root / "var/lib/cosmos/universe.toml").exists() and not (root / ".cosmos-bootstrap").exists():
            break  # killed when all was done
        if (root / ".cosmos-bootstrap").exists():
            assert (root.stat().st_mode & 0o077 == 0) or (root / "var/lib/cosmos/universe.toml").exists()
    assert killed >= 6
    assert tree(root) == tree(tmp_path / "kept")
    demand_as_recorded(cosmos, root)


@pytest.fixture
def interrupted(words: tuple, tmp_path: Path) -> Path:
    driver, root = tmp_path / "driver.py", tmp_path / "root"
    driver.write_text(DRIVER.format(builder=str(REPO / "builder")))
    assert killed_at(driver, root, 60, words)
    assert (root / ".cosmos-bootstrap").is_file()
    return root


def test_an_unfinished_system_is_none(interrupted: Path, cosmos: Cosmos) -> None:
    assert "is no cosmos system" in cosmos("status", "--root", interrupted).fails(2).err
    assert interrupted.stat().st_mode & 0o777 == 0o700


def test_it_goes_on_and_says_so(interrupted: Path, words: tuple, cosmos: Cosmos, tmp_path: Path) -> None:
    row = cosmos(*words, "--json").json()
    assert row["continued"] is True
    assert row["kept"] > 0
    assert tree(interrupted) == tree(tmp_path / "kept")


def test_what_was_half_written_or_damaged_is_written_again(
    interrupted: Path, words: tuple, cosmos: Cosmos, tmp_path: Path
) -> None:
    """A power cut leaves files of zeros and no bytes under their final names."""
    for place in interrupted.rglob("*"):
        if place.is_file() and not place.is_symlink() and not place.name.startswith(".cosmos"):
            held = place.stat()
            place.write_bytes(bytes(held.st_size))
            os.utime(place, (held.st_mtime, held.st_mtime))
    (interrupted / "var/lib/cosmos/.cosmos-1-1.tmp").parent.mkdir(parents=True, exist_ok=True)
    (interrupted / "var/lib/cosmos/.cosmos-1-1.tmp").write_bytes(b"half")
    cosmos(*words).ok()
    assert tree(interrupted) == tree(tmp_path / "kept")


def test_the_empty_folder_with_which_a_killed_run_tried_the_disk_is_removed(
    interrupted: Path, words: tuple, cosmos: Cosmos, tmp_path: Path
) -> None:
    (interrupted / ".cosmos-k3_9x.tmp").mkdir()
    cosmos(*words).ok()
    assert tree(interrupted) == tree(tmp_path / "kept")


def test_a_folder_of_that_name_that_holds_something_is_named_and_kept(
    interrupted: Path, words: tuple, cosmos: Cosmos
) -> None:
    (interrupted / ".cosmos-k3_9x.tmp").mkdir()
    (interrupted / ".cosmos-k3_9x.tmp/thesis.txt").write_text("mine")
    assert ".cosmos-k3_9x.tmp" in cosmos(*words).fails(5).err
    assert (interrupted / ".cosmos-k3_9x.tmp/thesis.txt").read_text() == "mine"


def test_others_may_enter_the_root_for_good_before_its_marker_is_gone(
    words: tuple, cosmos: Cosmos, tmp_path: Path
) -> None:
    """A power cut that kept the end of the marker and lost the mode left a system that only root may enter."""
    disk = tmp_path / "root"
    disk.mkdir()
    with recorded(disk) as record:
        cosmos(*words).ok()
    for state in map(record.state, record.recipes(seed=1)):
        top = state.nodes[state.top]
        if "var" in top.names and ".cosmos-bootstrap" not in top.names:
            assert top.attributes["mode"] == 0o755, state.how


@pytest.mark.objective("SO-18")
def test_a_link_that_was_planted_meanwhile_leads_nowhere(
    interrupted: Path, words: tuple, cosmos: Cosmos, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(interrupted / "etc")
    (interrupted / "etc").symlink_to(outside)
    shutil.rmtree(interrupted / "usr/bin")
    (interrupted / "usr/bin").mkdir()
    (interrupted / "usr/bin/app").symlink_to(outside / "app")
    cosmos(*words).ok()
    assert list(outside.iterdir()) == []
    assert tree(interrupted) == tree(tmp_path / "kept")


def test_what_is_no_part_of_the_system_is_named_and_kept(interrupted: Path, words: tuple, cosmos: Cosmos) -> None:
    (interrupted / "thesis.txt").write_text("mine")
    assert "thesis.txt" in cosmos(*words).fails(5).err
    assert (interrupted / "thesis.txt").read_text() == "mine"
    assert not (interrupted / "var/lib/cosmos/universe.toml").exists()


def test_another_lock_does_not_go_on_with_it(interrupted: Path, words: tuple, cosmos: Cosmos) -> None:
    marker = interrupted / ".cosmos-bootstrap"
    marker.write_text(f"cosmos bootstrap 1\n{Digest.of(b'another tree')}\n")
    assert "of another lock" in cosmos(*words).fails(2).err


def test_a_user_is_told_what_only_root_can_make(
    words: tuple, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = cosmos(*words)
    assert "1 owners and capabilities were not set, and 1 device left out" in said.ok().err
    assert not (tmp_path / "root/dev/null").exists()
    assert (tmp_path / "root/usr/bin/owned").stat().st_mode & 0o7777 == 0o4755


@pytest.mark.objective("SO-03")
def test_a_changed_archive_on_the_stick_is_refused_before_anything_is_written(
    stick: Path, words: tuple, cosmos: Cosmos, tmp_path: Path
) -> None:
    archive = stick / "galaxies/core/packages/app-2.0.0.tar.zst"
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    assert "app-2.0.0" in cosmos(*words).fails(4).err
    archive.unlink()
    assert "app-2.0.0" in cosmos(*words).fails(5).err
    assert not (tmp_path / "root").exists()


def test_another_lock_beside_an_image_is_not_taken_for_the_image_s(
    words: tuple, stick: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    other = stick / "image/other.lock.toml"
    shutil.copy(stick / "image/universe.lock.toml", other)
    said = cosmos(*(other if word == stick / "image/universe.lock.toml" else word for word in words)).fails(2).err
    assert f"{other}: lies beside an image.toml, whose lock is universe.lock.toml" in said
    assert f"name {stick / 'image/universe.lock.toml'}, or move this lock into a folder of its own" in said
    assert not (tmp_path / "root").exists()


def test_a_lock_alone_makes_a_system_of_its_stars(tmp_path: Path, cosmos: Cosmos) -> None:
    signers = make_signers()
    index_by_stellar(make_galaxy(tmp_path / "galaxy", "core", (BASE, APP), signers))
    device, trust = tmp_path / "device", signers.write_trust(tmp_path / "trust.toml")
    device.mkdir()
    cosmos("init", "--root", device).ok()
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", device).ok()
    cosmos("add-galaxy", "core", tmp_path / "galaxy", "--root", device).ok()
    cosmos("install", "app", "--root", device).ok()
    cosmos("freeze", "--root", device).ok()
    lock, home = device / "var/lib/cosmos/universe.lock.toml", make_home(tmp_path / "home", signers)
    said = cosmos("bootstrap", "--root", tmp_path / "root", "--lock", lock, "--home", home).ok()
    assert "the lock's stars alone" in said.err
    for path in ("bin/tool", "usr/bin/app", "etc/app.conf"):
        assert (tmp_path / "root" / path).read_bytes() == (device / path).read_bytes()
    cosmos("verify", "--root", tmp_path / "root").ok()


def test_a_folder_in_place_of_a_file_is_named_and_kept(interrupted: Path, words: tuple, cosmos: Cosmos) -> None:
    place = interrupted / "usr/bin/app"
    place.unlink(missing_ok=True)
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("mine")
    said = cosmos(*words).fails(5).err
    assert f"{place}: is a folder, and the image has a file there" in said
    assert f"hint: move away {place}" in said
    assert (place / "thesis.txt").read_text() == "mine"
    assert not (interrupted / "var/lib/cosmos/universe.toml").exists()
