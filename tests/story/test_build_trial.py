"""What a stranger who builds an image stumbles over: refused early, said plainly, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.image import flow as building
from cosmos.keyring.secret_key import SecretKey
from cosmos.locking import alone_if_free
from cosmos.model.names import KeyName
from fakes.images import ImageFixture, make_image, write_image
from fakes.programs import Cosmos

BOOTABLE = """
[[output]]
format = "tar.zst"
[[output]]
format = "cpio.zst"
[[output]]
format = "file"
path = "usr/bin/a?p"
as = "vmlinuz"
"""
PACKED = '[[output]]\nformat = "tar.zst"\n'


@pytest.fixture
def frozen(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    image = make_image(tmp_path, tables=PACKED)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return image


@pytest.fixture
def signed(frozen: ImageFixture, cosmos: Cosmos) -> ImageFixture:
    cosmos("build", frozen.folder, "--home", frozen.home, "--key", frozen.secret_key).ok()
    return frozen


# Refused before anything is fetched.


def _refused_unfetched(image: ImageFixture, cosmos: Cosmos, code: int, *words: object) -> str:
    store = image.home / "store"
    before = sorted(store.rglob("*"))
    err = cosmos("build", image.folder, "--home", image.home, *words).fails(code).err
    assert "fetch" not in err
    assert sorted(store.rglob("*")) == before
    assert not image.out.exists()
    return err


def test_a_root_that_may_not_be_written_is_refused_before_anything_is_fetched(
    frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    assert "mine: is not empty" in _refused_unfetched(frozen, cosmos, 2, "--keep-root", mine)
    assert "is the release folder, inside it, or around it" in _refused_unfetched(
        frozen, cosmos, 2, "--keep-root", frozen.out / "root"
    )
    around = tmp_path / "around"
    assert "is the release folder, inside it, or around it" in _refused_unfetched(
        frozen, cosmos, 2, "--keep-root", around, "--out", around / "out"
    )
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("way", ["plain", "link to it", "root is a link"])
def test_what_a_build_writes_may_not_be_an_input_of_the_next_one(
    frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path, way: str
) -> None:
    """The next build laid the whole release into the image, and the one after it that release with the first in it."""
    root = frozen.folder / "template/root"
    place = root / "srv" / "new"
    if way == "link to it":
        (tmp_path / "away").symlink_to(root)
        place = tmp_path / "away" / "new"
    elif way == "root is a link":
        root.rename(tmp_path / "elsewhere")
        root.symlink_to(tmp_path / "elsewhere")
        place = tmp_path / "elsewhere" / "new"
    before = sorted(root.rglob("*"))
    said = f"error: {place}: lies in {root}, and the next build would lay it into the image as a part of the template"
    for option in ("--out", "--keep-root", "--report"):
        err = _refused_unfetched(frozen, cosmos, 5, option, place)
        assert said in err
        assert f"hint: choose another {'place' if option == '--report' else 'folder'}" in err
        assert option in err
    assert said in cosmos("vendor", frozen.folder, place, "--home", frozen.home).fails(5).err
    assert sorted(root.rglob("*")) == before
    cosmos("build", frozen.folder, "--home", frozen.home, "--out", root.parent / "out").ok()


def test_what_is_behind_a_link_of_the_template_is_no_input(
    frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    """The link alone is laid into the image. The page would take the place of a link to a file."""
    root = frozen.folder / "template/root"
    (tmp_path / "behind").mkdir()
    (root / "behind").symlink_to(tmp_path / "behind")
    (root / "page.html").symlink_to(tmp_path / "page.html")
    words = ("build", frozen.folder, "--home", frozen.home, "--out", root / "behind" / "out")
    assert f"{root}/page.html: lies in {root}" in cosmos(*words, "--report", root / "page.html").fails(5).err
    cosmos(*words).ok()
    assert "nothing changed: " in cosmos(*words).ok().err


def test_a_key_of_another_role_is_refused_before_anything_is_fetched(
    frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    for role in ("author", "attester"):
        SecretKey.generate(KeyName(role), role).save(tmp_path / f"{role}.key", None)
        said = _refused_unfetched(frozen, cosmos, 4, "--key", tmp_path / f"{role}.key")
        assert f"key {role}: has the role {role}; expected a key of the role release" in said


def test_a_key_of_the_other_half_is_called_what_it_is(signed: ImageFixture, cosmos: Cosmos) -> None:
    failed = cosmos("build", signed.folder, "--home", signed.home, "--key", signed.public_key).fails(2)
    assert "found the public key" in failed.err
    failed = cosmos("verify", signed.out, "--key", signed.secret_key).fails(2)
    assert "expected a public key, found a secret key" in failed.err
    assert f"hint: name its public half: {signed.public_key}" in failed.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"./template"', '"./nowhere"', "nowhere"),
        ('"./template"', '"nowhere"', "no rootfs-templates/nowhere"),
        ('version = "1.0.0"', 'version = "1.0.0"\nfinish = "none.lua"', "none.lua: is not there"),
        ('version = "1.0.0"', 'version = "1.0.0"\nconstellations = ["none.toml"]', "none.toml: is not there"),
    ],
)
def test_freeze_and_build_refuse_alike_what_the_definition_names_in_vain(
    frozen: ImageFixture, cosmos: Cosmos, old: str, new: str, said: str
) -> None:
    file, lock = frozen.folder / "image.toml", (frozen.folder / "universe.lock.toml").read_bytes()
    file.write_text(file.read_text().replace(old, new))
    assert said in _refused_unfetched(frozen, cosmos, 2)
    assert said in cosmos("freeze", frozen.folder, "--home", frozen.home).fails(2).err
    assert (frozen.folder / "universe.lock.toml").read_bytes() == lock


# What stands in out/ is not lost.


def test_a_root_that_cannot_be_written_leaves_the_old_release(
    signed: ImageFixture, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in signed.out.iterdir()}
    (signed.folder / "template/root/etc/motd").write_text("changed\n")

    def full(*_: object) -> None:
        raise WorldFailed("root", "the disk is full")

    monkeypatch.setattr(building, "write_root", full)
    cosmos("build", signed.folder, "--home", signed.home, "--keep-root", tmp_path / "root").fails(5)
    assert {file.name: file.read_bytes() for file in signed.out.iterdir()} == before


def test_a_build_without_a_key_keeps_the_signature_of_the_same_release(signed: ImageFixture, cosmos: Cosmos) -> None:
    said = cosmos("build", signed.folder, "--home", signed.home).ok()
    assert said.out.startswith(f"unchanged {signed.out}")
    assert "not signed" not in said.err
    cosmos("verify", signed.out, "--key", signed.public_key).ok()


def test_a_signed_release_that_an_unsigned_one_replaces_is_warned_of(signed: ImageFixture, cosmos: Cosmos) -> None:
    (signed.folder / "template/root/etc/motd").write_text("changed\n")
    said = cosmos("build", signed.folder, "--home", signed.home).ok()
    assert "an unsigned release replaces the signed one" in said.err
    assert not (signed.out / "RELEASE.json.dsse").exists()


_KILLED = """
import os, signal, sys
from pathlib import Path
from cosmos.release.draft import draft_beside
with draft_beside(Path(sys.argv[1])) as draft:
    draft.write("half", [b"packed"])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_build_left_is_swept_and_no_more(frozen: ImageFixture, cosmos: Cosmos) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, frozen.out], check=False)
    assert killed.returncode == -9
    (left,) = frozen.folder.glob(".out-*")
    assert (left / "release" / "half").is_file()
    (frozen.folder / ".out-mine").mkdir()
    with alone_if_free(frozen.folder / ".out-alive" / "cosmos-draft") as is_a_living_build:
        assert is_a_living_build
        cosmos("build", frozen.folder, "--home", frozen.home).ok()
    assert sorted(folder.name for folder in frozen.folder.glob(".out-*")) == [".out-alive", ".out-mine"]


# Answers.


def test_a_stale_lock_is_answered_in_json_as_well(frozen: ImageFixture, cosmos: Cosmos) -> None:
    write_image(frozen, {"app": "^2"}, tables=PACKED)
    failed = cosmos("freeze", frozen.folder, "--check", "--json", "--home", frozen.home).fails(7)
    row = json.loads(failed.out)
    assert row["fresh"] is False
    assert "stars: app ^2 is wished for, but was not when it was locked" in row["differences"]


def test_a_release_that_differs_is_answered_in_json_as_well(signed: ImageFixture, cosmos: Cosmos) -> None:
    (signed.out / "more").write_text("x")
    failed = cosmos("verify", signed.out, "--key", signed.public_key, "--json").fails(7)
    row = json.loads(failed.out)
    assert row.pop("error")["family"] == "differs"
    assert row == {"verified": False, "differences": ["more: is not part of the release"]}
    assert "1 difference from RELEASE.json" in failed.err


def test_a_check_that_is_to_upgrade_is_a_usage_error(frozen: ImageFixture, cosmos: Cosmos) -> None:
    assert "--check changes nothing" in cosmos("freeze", frozen.folder, "--check", "--upgrade", "app").fails(2).err


@pytest.mark.parametrize("name", ["No!", "a b", "../x"])
def test_an_upgrade_of_what_is_no_name_is_a_usage_error(frozen: ImageFixture, cosmos: Cosmos, name: str) -> None:
    lock = frozen.folder / "universe.lock.toml"
    before = lock.read_bytes()
    words = ("freeze", frozen.folder, "--upgrade", name, "--home", frozen.home)
    failed = cosmos(*words).fails(2).err
    assert "want " in failed and repr(name) in failed
    assert "cosmos freeze --help" in failed
    assert lock.read_bytes() == before


def test_what_comes_next_is_what_works(tmp_path: Path, cosmos: Cosmos) -> None:
    plain = make_image(tmp_path / "plain", tables=PACKED)
    full = make_image(tmp_path / "full", tables=BOOTABLE)
    for image in (plain, full):
        cosmos("freeze", image.folder, "--home", image.home).ok()

    def following(image: ImageFixture, *words: object) -> list[str]:
        said = cosmos("build", image.folder, "--home", image.home, *words).ok().out.splitlines()
        return [line for line in said if line.startswith("next: ")]

    verify = f"cosmos verify {plain.out} --key {plain.public_key}"
    assert following(plain) == []
    assert following(plain, "--key", plain.secret_key) == [f"next: {verify}"]
    assert following(full) == [f"next: cosmos boot {full.out}"]
    assert following(full, "--key", full.secret_key)[0].endswith(f", or cosmos boot {full.out}")


def test_one_is_said_as_one(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, wishes={"base": "*"})
    frozen = cosmos("freeze", image.folder, "--home", image.home).ok()
    assert "open 1 galaxy\n" in frozen.err
    assert "written, 1 star\n" in frozen.out
    assert "stage 1 star," in cosmos("build", image.folder, "--home", image.home).ok().err


def test_an_index_that_names_another_statement_is_called_the_index(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    with (image.galaxy.path / "stars" / "app-2.0.0.toml").open("a") as stream:
        stream.write("# more\n")
    failed = cosmos("freeze", image.folder, "--home", image.home).fails(4)
    assert "the index names sha256:" in failed.err
    assert "the lock" not in failed.err


# Looking into an image.


def test_links_on_the_way_are_followed_inside_the_image(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, more='finish = "finish.lua"')
    (image.folder / "finish.lua").write_text(
        "function install()\n"
        'symlink("/usr/bin", "/etc/programs") symlink("../etc/hostname", "/etc/up")\n'
        'symlink("round", "/etc/round") symlink("gone", "/etc/dangling")\n'
        "end\n"
    )
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    for path in ("bin/tool", "/bin/tool", "etc/programs/tool"):
        assert cosmos("cat", image.out, path).ok().out == "tool" * 1000
    assert cosmos("cat", image.out, "bin/app2").ok().out == "app" * 5000
    assert cosmos("cat", image.out, "etc/up").ok().out == "small\n"
    assert "too many links" in cosmos("cat", image.out, "etc/round").fails(2).err
    failed = cosmos("cat", image.out, "etc/dangling").fails(2)
    assert "has no /etc/gone, the target of /etc/dangling" in failed.err
    hint = failed.err.split("hint: cosmos ls ")[1].strip()
    cosmos("ls", hint).ok()
    assert "is not a file, but a dir" in cosmos("cat", image.out, "bin").fails(2).err


def test_a_file_that_is_no_image_is_called_that(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    for words in (("ls", tmp_path / "notes.txt"), ("cat", tmp_path / "notes.txt", "etc/motd")):
        assert "notes.txt: is not an image" in cosmos(*words).fails(2).err


def test_a_boot_that_may_take_no_time_is_a_usage_error(signed: ImageFixture, cosmos: Cosmos) -> None:
    for seconds in ("0", "-1"):
        assert "--timeout" in cosmos("boot", signed.out, "--timeout", seconds).fails(2).err
