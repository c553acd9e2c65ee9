"""`cosmos vendor`: a folder on a stick builds the same image on a machine that has nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.image import vendoring
from cosmos.keyring.secret_key import SecretKey
from cosmos.locking import alone_if_free
from cosmos.model.names import KeyName
from cosmos.trust.badges import BADGES_SUFFIX, Claim, add_badge
from cosmos.trust.roles import IN_TOTO_TYPE, TRUST_TYPE, Role
from cosmos.trust.roots import RoleKeys
from fakes.galaxies import StarSpec, index_by_stellar, write_spec
from fakes.growing_galaxies import pin
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import REPO, Cosmos

_ROLES: tuple[Role, ...] = ("log", "attester")
LINKED = 'finish = "finish.lua"\nconstellations = ["tools.toml"]\n'


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    """An image with a finish script, a constellation, and a template with a link and a program."""
    made = make_image(tmp_path / "there", more=LINKED)
    (made.folder / "finish.lua").write_text('function install()\n  write("/etc/finished", "yes\\n")\nend\n')
    (made.folder / "tools.toml").write_text('name = "tools"\ndescription = "tools"\nmembers = ["base"]\n')
    root = made.folder / "template" / "root"
    (root / "etc" / "mtab").symlink_to("/proc/mounts")
    (root / "etc" / "start").write_text("#!/bin/sh\n")
    (root / "etc" / "start").chmod(0o755)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


@pytest.fixture
def stick(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    cosmos("vendor", image.folder, folder, "--home", image.home).ok()
    return folder


@pytest.fixture
def away(stick: Path, image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> Path:
    """The home of another machine, which has no galaxy and has accepted the keys that came on the stick."""
    home = tmp_path / "away"
    shutil.move(image.folder.parent, tmp_path / "gone")
    trust = stick / "trust" / "trust.toml"
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--home", home).ok()
    return home


def build(cosmos: Cosmos, stick: Path, home: Path, out: Path, *words: object):
    return cosmos("build", stick / "image", "--from", stick, "--out", out, "--home", home, "--json", *words)


def root_of(cosmos: Cosmos, image: ImageFixture) -> str:
    return cosmos("build", image.folder, "--home", image.home, "--json").json()["content-root"]


@pytest.mark.parametrize("words", [(), ("--offline",)])
def test_a_machine_with_nothing_else_builds_the_same_contents(
    image: ImageFixture, stick: Path, cosmos: Cosmos, tmp_path: Path, request: pytest.FixtureRequest, words: tuple
) -> None:
    wanted = root_of(cosmos, image)
    away = request.getfixturevalue("away")
    assert build(cosmos, stick, away, tmp_path / "out", *words).json()["content-root"] == wanted


def test_a_release_is_rebuilt_from_the_folder(
    image: ImageFixture, stick: Path, cosmos: Cosmos, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key, "--out", tmp_path / "out").ok()
    public = shutil.copy(image.public_key, tmp_path / "release.pub")
    away = request.getfixturevalue("away")
    words = ("rebuild", tmp_path / "out", "--from", stick, "--home", away, "--key", public, "--json")
    assert cosmos(*words).json()["same"] is True
    assert cosmos(*words, "--offline").json()["same"] is True


def test_the_index_is_the_one_that_was_signed_and_only_locked_stars_are_there(image: ImageFixture, stick: Path) -> None:
    galaxy = stick / "galaxies" / "core"
    for name in ("meta.toml", "meta.toml.dsse"):
        assert (galaxy / name).read_bytes() == (image.galaxy.path / name).read_bytes()
    assert sorted(file.name for file in (galaxy / "packages").iterdir()) == [
        "app-2.0.0.tar.zst",
        "base-1.2.0.tar.zst",
        "everything-1.0.0.tar.zst",
    ]
    assert (stick / "image" / "image.toml").read_bytes() == (image.folder / "image.toml").read_bytes()


def test_a_star_that_the_lock_does_not_name_stays_behind_and_that_is_said(tmp_path: Path, cosmos: Cosmos) -> None:
    made = make_image(tmp_path, [StarSpec("other"), BASE, APP, META])
    cosmos("freeze", made.folder, "--home", made.home).ok()
    row = cosmos("vendor", made.folder, tmp_path / "stick", "--home", made.home, "--json").json()
    assert not list((tmp_path / "stick").rglob("other-*"))
    assert row["stars"] == 3
    assert row["not-carried"] == [
        "galaxy core: only snapshot 1 and the 3 stars of the lock; its other stars, its catalogue and later snapshots "
        "are not here",
        "the program cosmos: no star of the lock is called so; bring the single-file binary, or the builder",
    ]


def test_the_lock_s_snapshot_is_carried_after_the_galaxy_went_on(tmp_path: Path, cosmos: Cosmos) -> None:
    """The home that vendors has seen the newer index: the folder's older one is no rollback."""
    made = make_image(tmp_path)
    index_by_stellar(made.galaxy)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    locked = made.galaxy.index.read_bytes()
    write_spec(made.galaxy, StarSpec("later"), 9)
    index_by_stellar(made.galaxy)
    assert made.galaxy.index.read_bytes() != locked
    wanted = root_of(cosmos, made)
    cosmos("vendor", made.folder, tmp_path / "stick", "--home", made.home).ok()
    assert (tmp_path / "stick/galaxies/core/meta.toml").read_bytes() == locked
    assert build(cosmos, tmp_path / "stick", made.home, tmp_path / "out").json()["content-root"] == wanted


def test_vendoring_again_changes_nothing_and_mends_what_is_damaged(
    image: ImageFixture, stick: Path, cosmos: Cosmos
) -> None:
    before = {file: file.stat().st_mtime_ns for file in stick.rglob("*") if file.is_file()}
    again = cosmos("vendor", image.folder, stick, "--home", image.home, "--json").json()
    assert again["changed"] is False
    assert {file: file.stat().st_mtime_ns for file in stick.rglob("*") if file.is_file()} == before
    archive = stick / "galaxies/core/packages/app-2.0.0.tar.zst"
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    assert cosmos("vendor", image.folder, stick, "--home", image.home, "--json").json()["changed"] is True
    assert archive.read_bytes() == image.galaxy.archive("app-2.0.0").read_bytes()
    assert not list(stick.parent.glob(".stick*"))


def test_it_is_vendored_from_the_store_alone_if_the_galaxy_is_away(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    root_of(cosmos, image)
    shutil.move(image.galaxy.path, tmp_path / "unplugged")
    cosmos("vendor", image.folder, tmp_path / "stick", "--home", image.home, "--offline").ok()
    assert (tmp_path / "stick/galaxies/core/packages/app-2.0.0.tar.zst").is_file()


def test_a_folder_is_vendored_from_a_folder(stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos("vendor", stick / "image", tmp_path / "second", "--from", stick, "--home", away).ok()
    second = tmp_path / "second"
    files = sorted(file.relative_to(stick) for file in stick.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(second) for file in second.rglob("*") if file.is_file())
    assert [file for file in files if (stick / file).read_bytes() != (second / file).read_bytes()] == []


def test_a_lock_alone_is_vendored(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    lock = image.folder / "universe.lock.toml"
    row = cosmos("vendor", lock, tmp_path / "stick", "--home", image.home, "--json").json()
    assert (row["image"], row["lock"]) == (None, "universe.lock.toml")
    assert (tmp_path / "stick/universe.lock.toml").read_bytes() == lock.read_bytes()
    assert any("an image definition" in sentence for sentence in row["not-carried"])


def test_only_a_vendored_folder_is_replaced(image: ImageFixture, stick: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    assert "thesis.txt" in cosmos("vendor", image.folder, mine, "--home", image.home).fails(5).err
    (stick / "image" / "out").mkdir()
    (stick / "image" / "out" / "notes.txt").write_text("mine")
    assert "image/out/notes.txt" in cosmos("vendor", image.folder, stick, "--home", image.home).fails(5).err
    link = tmp_path / "link"
    link.symlink_to(mine)
    cosmos("vendor", image.folder, link, "--home", image.home).fails(5)
    assert (mine / "thesis.txt").read_text() == "mine"


def test_two_do_not_vendor_to_one_folder_and_no_link_leads_the_unfinished_work_elsewhere(
    image: ImageFixture, stick: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    before = {file: file.read_bytes() for file in stick.rglob("*") if file.is_file()}
    place = tmp_path / ".stick-vendoring"
    place.mkdir()
    with alone_if_free(place / vendoring._MARK) as is_ours:
        assert is_ours
        told = cosmos("vendor", image.folder, stick, "--home", image.home).fails(5).err
        assert f"{stick}: another cosmos vendors to this folder" in told
    shutil.rmtree(place)
    (tmp_path / "mine").mkdir()
    place.symlink_to(tmp_path / "mine")
    told = cosmos("vendor", image.folder, stick, "--home", image.home).fails(5).err
    assert f"{place}: is a link; cosmos keeps unfinished work there" in told
    assert f"remove {place}" in told
    assert not any((tmp_path / "mine").iterdir())
    assert {file: file.read_bytes() for file in stick.rglob("*") if file.is_file()} == before


DRIVER = """
import os, sys
sys.path[:0] = [{builder!r}]
import cosmos.durable as durable
real, left = os.replace, int(sys.argv[1])
def replace(*words, **more):
    global left
    left -= 1
    if left < 0 and "stick" in str(os.readlink(f"/proc/self/fd/{{more['dst_dir_fd']}}")):
        os.kill(os.getpid(), 9)
    return real(*words, **more)
os.replace = replace
from cosmos.cli.cosmos.main import main
sys.argv[1:] = sys.argv[2:]
main()
"""


def test_a_killed_run_leaves_the_old_folder_and_the_next_run_goes_on(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    """Killed at each file: DIR is never a part of itself, and at last it is whole."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.format(builder=str(REPO / "builder")))
    folder, killed = tmp_path / "stick", 0
    for place in range(0, 200, 3):
        words = [sys.executable, driver, str(place), "vendor", image.folder, folder, "--home", image.home]
        ran = subprocess.run(list(map(str, words)), capture_output=True, env={"PATH": os.defpath})
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
        assert not folder.exists()
        killed += 1
    assert killed >= 4
    assert cosmos("vendor", image.folder, folder, "--home", image.home, "--json").json()["changed"] is False


FILES = (
    ("galaxies/core/packages/app-2.0.0.tar.zst", 4),
    ("galaxies/core/stars/app-2.0.0.toml", 4),
    ("galaxies/core/stars/app-2.0.0.toml.dsse", 4),
    ("galaxies/core/meta.toml", 4),
    ("galaxies/core/meta.toml.dsse", 4),
    ("image/template/root/etc/hostname.j2", 4),
    ("image/finish.lua", 4),
    ("image/image.toml", 4),
    ("image/universe.lock.toml", 4),
)


@pytest.mark.parametrize(("path", "code"), FILES)
@pytest.mark.objective("SO-03")
def test_a_changed_file_is_refused_and_named(
    stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path, path: str, code: int
) -> None:
    file = stick / path
    data = file.read_bytes()
    file.write_bytes(data.replace(b"e", b"E", 1) if b"e" in data else data[:-1] + b"!")
    said = build(cosmos, stick, away, tmp_path / "out").fails(code).err
    assert Path(path).name in said or "app" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "path", [path for path, _ in FILES if not path.endswith(".dsse") and path != "image/image.toml"]
)
def test_a_missing_file_is_named(stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path, path: str) -> None:
    (stick / path).unlink()
    assert Path(path).name in build(cosmos, stick, away, tmp_path / "out").fails(5).err


def test_an_envelope_that_is_missing_is_no_signature(stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    (stick / "galaxies/core/stars/app-2.0.0.toml.dsse").unlink()
    assert "app-2.0.0.toml" in build(cosmos, stick, away, tmp_path / "out").fails(4).err


@pytest.mark.parametrize(
    "path", ["galaxies/core/packages/app-2.0.0.tar.zst", "galaxies/core", "galaxies", "image/finish.lua"]
)
@pytest.mark.objective("SO-18")
def test_a_link_in_the_folder_is_not_followed(
    stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path, path: str
) -> None:
    place = stick / path
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert "link" in build(cosmos, stick, away, tmp_path / "out").fails(4).err


def test_a_file_that_was_added_to_the_template_is_refused(
    stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    (stick / "image/template/root/etc/shadow").write_text("root::1:0:99999:7:::\n")
    assert "vendored.json" in build(cosmos, stick, away, tmp_path / "out").fails(4).err


def test_a_mode_that_was_changed_in_the_template_is_refused(
    stick: Path, away: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    (stick / "image/template/root/etc/hostname.j2").chmod(0o755)
    assert "vendored.json" in build(cosmos, stick, away, tmp_path / "out").fails(4).err


def test_keys_that_only_the_stick_brings_are_not_believed(
    image: ImageFixture, stick: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    said = build(cosmos, stick, tmp_path / "untouched", tmp_path / "out").fails(4)
    assert "no trust anchors were accepted" in said.err


def test_a_home_that_is_behind_takes_the_later_keys_from_the_folder(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    """The lock was made under version 2 of trust.toml: a builder with version 1 refuses it until it has caught up."""
    first = image.home / "trust" / "trust.toml"
    old = tmp_path / "old"
    cosmos("trust", "init", first, "--sha256", Digest.of(first.read_bytes()), "--home", old).ok()
    chain = tmp_path / "chain"
    chain.mkdir()
    second = replace(image.signers.roots(), version=2)
    data = tomli_w.dumps(second.to_toml()).encode()
    (chain / "2.toml").write_bytes(data)
    (chain / "2.toml.dsse").write_bytes(image.signers["root"].sign(TRUST_TYPE, data))
    cosmos("trust", "update", chain, "--home", image.home).ok()
    cosmos("freeze", image.folder, "--home", image.home).ok()
    stick = tmp_path / "stick"
    cosmos("vendor", image.folder, stick, "--home", image.home).ok()
    assert "cosmos trust update" in build(cosmos, stick, old, tmp_path / "out").fails(4).err
    cosmos("trust", "update", stick, "--home", old).ok()
    build(cosmos, stick, old, tmp_path / "out").ok()


# --- logs and badges


def wanting(image: ImageFixture, cosmos: Cosmos, stellar: Cosmos, where: Path) -> None:
    """Let the image want its stars in a log, and a badge of each; give the galaxy both, and lock the image again."""
    log, attester = (
        SecretKey(name=KeyName(f"the-{role}"), role=role, seed=role.encode().ljust(32, b".")) for role in _ROLES
    )
    pinned = {key.role: RoleKeys(threshold=1, keys=(key.public,)) for key in (log, attester)}
    pin(image.signers, image.home, roles={**image.signers.roots().roles, **pinned})
    for key in (log, attester):
        key.save(where / f"{key.role}.key", None)
    stellar("log", "append", image.galaxy.path, "--key", where / "log.key").ok()
    for file in sorted((image.galaxy.path / "packages").iterdir()):
        claim = Claim(kind="test", digest=Digest.of(file.read_bytes()), name=file.name, result="PASSED")
        stem = file.name.removesuffix(".tar.zst")
        badges = add_badge(b"", attester.sign(IN_TOTO_TYPE, claim.to_bytes()), "badges")
        (image.galaxy.path / f"stars/{stem}{BADGES_SUFFIX}").write_bytes(badges)
    file = image.folder / "image.toml"
    file.write_text(f"{file.read_text()}\n[policy]\nlog = true\nbadges = {{ test = 1 }}\n")
    cosmos("freeze", image.folder, "--home", image.home).ok()


def test_the_logs_and_badges_that_the_policy_wants_are_carried_and_judged(
    image: ImageFixture, cosmos: Cosmos, stellar: Cosmos, tmp_path: Path
) -> None:
    wanting(image, cosmos, stellar, tmp_path)
    root = root_of(cosmos, image)
    stick, home = tmp_path / "stick", tmp_path / "away"
    cosmos("vendor", image.folder, stick, "--home", image.home).ok()
    trust = stick / "trust" / "trust.toml"
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--home", home).ok()
    shutil.move(image.folder.parent, tmp_path / "gone")
    assert build(cosmos, stick, home, tmp_path / "out", "--offline").json()["content-root"] == root
    shutil.copytree(stick, tmp_path / "whole", symlinks=True)
    for ending in (BADGES_SUFFIX, ".tlog-proof"):
        for file in (stick / "galaxies/core/stars").glob(f"app-*{ending}"):
            file.unlink()
            third = tmp_path / f"third{ending}"
            cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--home", third).ok()
            said = build(cosmos, stick, third, tmp_path / "out2").fails(4).err
            assert "app-2.0.0" in said
            shutil.copy(tmp_path / "whole/galaxies/core/stars" / file.name, file)
        assert file.exists()
