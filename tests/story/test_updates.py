"""Updates from one release to the next: `cosmos delta` and `cosmos apply`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.galaxies import StarSpec
from fakes.programs import Cosmos, write_programs
from fakes.updates import NEW_STARS, OLD_STARS, Update, edited, files_of, make_update, noise


@pytest.fixture(scope="session")
def update(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> Update:
    """OLD and NEW, which no test changes."""
    return make_update(tmp_path_factory.mktemp("update"), succeed)


@pytest.fixture
def delta(update: Update, cosmos: Cosmos, tmp_path: Path) -> Path:
    """The delta from OLD to NEW."""
    cosmos("delta", update.old, update.new, "-o", tmp_path / "d.delta", "--key", update.secret_key).ok()
    return tmp_path / "d.delta"


def test_a_delta_makes_the_new_release_byte_for_byte(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    before = files_of(update.old)
    made = cosmos("apply", delta, "--from", update.old, "-o", tmp_path / "new", "--key", update.public_key, "--json")
    assert made.json()["changed"] is True
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert files_of(update.old) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d.delta", "new"]
    cosmos("verify", tmp_path / "new", "--key", update.public_key).ok()
    again = cosmos("apply", delta, "--from", update.old, "-o", tmp_path / "new", "--key", update.public_key, "--json")
    assert again.json()["changed"] is False


def test_the_old_release_may_be_replaced_by_the_new_one(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    shutil.copytree(update.old, tmp_path / "out")
    cosmos("apply", delta, "--from", tmp_path / "out", "-o", tmp_path / "out", "--key", update.public_key).ok()
    assert files_of(tmp_path / "out") == files_of(update.new)


@pytest.mark.parametrize("kind", ["fifo", "thesis"])
def test_what_is_no_release_stays_and_no_work_is_done_for_its_place(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    if kind == "fifo":
        os.mkfifo(out)
    else:
        out.mkdir()
        (out / "thesis.tex").write_bytes(b"years")
    before = out.lstat()
    said = cosmos("apply", delta, "--from", update.old, "-o", out, "--key", update.public_key).fails(5).err
    assert "--out FOLDER" in said
    assert "pack " not in said
    cosmos("fetch", "http://127.0.0.1:9", "-o", out, "--key", update.public_key).fails(5)
    assert (out.lstat().st_ino, out.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not list(tmp_path.glob(".out*")), "no folder for the work was made"


def test_no_release_is_made_in_another_release(update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    """The other one had a folder more, so that `verify` and the next build refused it."""
    shutil.copytree(update.old, tmp_path / "old")
    (tmp_path / "link").symlink_to("old")
    for out in (tmp_path / "old" / "new", tmp_path / "link" / "a" / "new"):
        for words in (("apply", delta, "--from", update.old), ("fetch", "http://127.0.0.1:9")):
            said = cosmos(*words, "-o", out, "--key", update.public_key).fails(5).err
            assert f"{out}: lies in the release {tmp_path}/old, which a folder more would spoil" in said
    assert files_of(tmp_path / "old") == files_of(update.old)
    assert sorted(path.name for path in (tmp_path / "old").iterdir()) == sorted(files_of(update.old))


def test_a_delta_says_what_it_carries_and_is_small(update: Update, cosmos: Cosmos, tmp_path: Path) -> None:
    made = cosmos("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key, "--json").json()
    assert {row["name"]: row["as"] for row in made["layers"]} == {
        "tool-1.1.0": "patch",
        "libx2-2.0.0": "patch",  # its star has another name than in OLD
        "fresh-1.0.0": "frame",
        "template": "patch",
    }
    assert made["bytes"] == (tmp_path / "d").stat().st_size
    assert made["bytes"] < made["image-bytes"] // 10


@pytest.mark.parametrize("name", ["RELEASE.json", "new.delta"])
def test_no_delta_is_written_into_a_release(name: str, update: Update, cosmos: Cosmos, tmp_path: Path) -> None:
    shutil.copytree(update.new, tmp_path / "new")
    words = ("delta", update.old, tmp_path / "new", "-o", tmp_path / "new" / name, "--key", update.secret_key)
    assert "which a file more would spoil" in cosmos(*words).fails(2).err
    assert files_of(tmp_path / "new") == files_of(update.new)


def test_a_damaged_image_of_two_of_one_name_is_named_with_its_folder(
    update: Update, cosmos: Cosmos, tmp_path: Path
) -> None:
    """OLD and NEW have images of one name: which of them is cut off?"""
    for name, release in (("old", update.old), ("new", update.new)):
        shutil.copytree(release, tmp_path / name)
    image = next((tmp_path / "new").glob("*.tar.zst"))
    os.truncate(image, 1000)
    words = (tmp_path / "old", tmp_path / "new")
    for more in (("--simulate",), ("-o", tmp_path / "d", "--key", update.secret_key)):
        assert f"{image}: does not end with a seek table" in cosmos("delta", *words, *more).fails(4).err
    image.unlink()
    assert f"{image}: cannot be read: no such file" in cosmos("delta", "--simulate", *words).fails(5).err


def test_a_delta_replaces_an_older_delta_and_nothing_else(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    """A slip of `-o` must not cost the image definition, or a key."""
    file = tmp_path / "d"
    for before in (b"", delta.read_bytes()[:50]):
        file.write_bytes(before)
        cosmos("delta", update.old, update.new, "-o", file, "--key", update.secret_key).ok()
        assert file.read_bytes() == delta.read_bytes()
    file.write_bytes(b'name = "an image"')
    said = cosmos("delta", update.old, update.new, "-o", file, "--key", update.secret_key).fails(2)
    assert f"{file}: is there, and is no delta" in said.err
    assert file.read_bytes() == b'name = "an image"'


def test_the_same_two_releases_give_the_same_delta(update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos("delta", update.old, update.new, "-o", tmp_path / "other", "--key", update.secret_key).ok()
    assert (tmp_path / "other").read_bytes() == delta.read_bytes()


def test_a_simulation_has_the_sizes_of_each_way(update: Update, delta: Path, cosmos: Cosmos) -> None:
    answer = cosmos("delta", "--simulate", update.old, update.new, update.new, "--json").json()
    image = next(update.new.glob("*.tar.zst")).stat().st_size
    assert answer["image-bytes"] == image
    first, second = answer["updates"]
    assert 0 < first["patches-bytes"] < first["frames-bytes"] < image
    assert first["patches-share"] == f"{100 * first['patches-bytes'] / image:.2f} %"
    assert (second["changed"], second["frames-bytes"], second["patches-bytes"]) == (0, 0, 0)
    told = cosmos("delta", "--simulate", update.old, update.new).ok().out.splitlines()
    assert told[0].split()[:2] == ["layers", "frames"]
    assert f"{image:,}" in told[1] and first["patches-share"] in told[1]
    for words in (("--whole", "tool"), ("--installed",)):
        refused = cosmos("delta", "--simulate", update.old, update.new, *words).fails(2)
        assert "leave --whole and --installed out" in refused.err, "the numbers would be those of another delta"


def test_the_help_says_that_a_delta_is_made_of_releases_whose_signatures_nobody_verified(
    update: Update, cosmos: Cosmos, tmp_path: Path
) -> None:
    shutil.copytree(update.new, tmp_path / "new")
    shutil.copy(update.old / "RELEASE.json.dsse", tmp_path / "new")  # it signs another release
    words = ("delta", update.old, tmp_path / "new")
    cosmos(*words, "--simulate").ok()
    cosmos(*words, "-o", tmp_path / "delta", "--key", update.secret_key).ok()
    assert "Neither way verifies a signature of OLD or NEW" in " ".join(cosmos("delta", "--help").ok().out.split())
    cosmos("verify", tmp_path / "new", "--key", update.public_key).fails(4)


def test_a_delta_is_never_larger_than_the_release_even_if_everything_changed(
    cosmos: Cosmos, succeed: Callable[..., None], tmp_path: Path
) -> None:
    old = tuple(StarSpec(f"s{seed}", "1.0.0", {f"usr/bin/s{seed}": noise(seed, 5000)}) for seed in range(5))
    new = tuple(StarSpec(f"s{seed}", "2.0.0", {f"usr/bin/s{seed}": noise(seed + 9, 5000)}) for seed in range(5))
    update = make_update(tmp_path / "x", succeed, old, new, tables="")
    made = cosmos("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key, "--json").json()
    assert made["bytes"] <= sum(file.stat().st_size for file in update.new.iterdir())
    layers = sum(row["bytes"] for row in made["layers"])
    assert layers <= made["image-bytes"]


def test_the_right_base_is_found_among_several(update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    (tmp_path / "releases" / "0").mkdir(parents=True)
    (tmp_path / "releases" / "0" / "RELEASE.json").symlink_to("/dev/zero")
    (tmp_path / "releases" / "1").mkdir()
    (tmp_path / "releases" / "1" / "RELEASE.json").symlink_to("/proc/self/mem")  # a read of its first page fails
    shutil.copytree(update.new, tmp_path / "releases" / "a")
    shutil.copytree(update.old, tmp_path / "releases" / "b")
    words = ("-o", tmp_path / "made", "--key", update.public_key)
    cosmos("apply", delta, "--from-any", tmp_path / "releases", *words).ok()
    assert files_of(tmp_path / "made") == files_of(update.new)
    shutil.rmtree(tmp_path / "releases" / "b")
    none = cosmos("apply", delta, "--from-any", tmp_path / "releases", *words).fails(7)
    assert "no release there is the one that the delta is for" in none.err


def test_a_home_judges_the_new_release_and_refuses_an_older_one(update: Update, cosmos: Cosmos, tmp_path: Path) -> None:
    back = tmp_path / "back"
    cosmos("delta", update.new, update.old, "-o", back, "--key", update.secret_key).ok()
    home = shutil.copytree(update.image.home, tmp_path / "home")
    cosmos("verify", update.new, "--home", home).ok()
    refused = cosmos("apply", back, "--from", update.new, "-o", tmp_path / "made", "--home", home).fails(4)
    assert "counter" in refused.err
    assert not (tmp_path / "made").exists()


def test_a_system_judges_the_new_release_by_its_own_keys_and_memory(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    words = ("--from", update.old, "-o", tmp_path / "new", "--root", root)
    assert "no trust anchors" in cosmos("apply", delta, *words).fails(4).err
    update.image.signers.write_trust(tmp_path / "trust.toml")
    digest = Digest.of((tmp_path / "trust.toml").read_bytes())
    cosmos("trust", "init", tmp_path / "trust.toml", "--sha256", digest, "--root", root).ok()
    cosmos("apply", delta, *words).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)
    cosmos("delta", update.new, update.old, "-o", tmp_path / "back", "--key", update.secret_key).ok()
    words = ("--from", update.new, "-o", tmp_path / "older", "--root", root)
    assert "counter" in cosmos("apply", tmp_path / "back", *words).fails(4).err
    assert not (tmp_path / "older").exists()


def test_a_star_may_be_carried_whole(update: Update, cosmos: Cosmos, tmp_path: Path) -> None:
    words = ("-o", tmp_path / "d", "--key", update.secret_key, "--whole", "tool", "--whole", "same", "--json")
    made = cosmos("delta", update.old, update.new, *words).json()
    assert {row["name"] for row in made["layers"] if row["as"] == "frame"} == {
        "tool-1.1.0",
        "same-1.0.0",
        "fresh-1.0.0",
    }
    cosmos("apply", tmp_path / "d", "--from", update.old, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)


def test_a_release_without_a_signature_or_with_a_changed_file_makes_no_delta(
    update: Update, cosmos: Cosmos, tmp_path: Path
) -> None:
    words = ("-o", tmp_path / "d", "--key", update.secret_key)
    unsigned = shutil.copytree(update.new, tmp_path / "unsigned")
    (unsigned / "RELEASE.json.dsse").unlink()
    assert "nobody signed" in cosmos("delta", update.old, unsigned, *words).fails(2).err
    changed = shutil.copytree(update.new, tmp_path / "changed")
    (changed / "manifest.txt").write_bytes(b"x")
    assert "manifest.txt" in cosmos("delta", update.old, changed, *words).fails(7).err
    assert "is not there" in cosmos("delta", tmp_path, update.new, *words).fails(2).err
    assert not (tmp_path / "d").exists()


def test_a_cosmos_without_the_library_of_patches_applies_and_says_that_it_makes_none(
    update: Update, delta: Path, tmp_path: Path
) -> None:
    """The single-file binary has no backports.zstd."""
    without = "import sys; sys.modules['backports.zstd'] = sys.modules['compression.zstd'] = None"
    programs = write_programs(tmp_path / "bin", without)
    words = ["--from", update.old, "-o", tmp_path / "new", "--key", update.public_key]
    subprocess.run([programs / "cosmos", "apply", delta, *words], check=True, capture_output=True)
    assert files_of(tmp_path / "new") == files_of(update.new)
    words = [update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key]
    made = subprocess.run([programs / "cosmos", "delta", *words], capture_output=True, text=True)
    assert made.returncode == 5 and "lacks the library backports.zstd" in made.stderr
    assert not (tmp_path / "d").exists()


def test_a_release_that_another_zstd_packed_makes_no_delta_and_the_way_out_is_named(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosmos.release.delta import applying, making

    monkeypatch.setattr(making, "ZSTD_VERSION", "9.9.9")
    monkeypatch.setattr(applying, "ZSTD_VERSION", "9.9.9")
    made = cosmos("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key).fails(5)
    assert "was packed by zstd" in made.err and "9.9.9" in made.err
    words = ("--from", update.old, "-o", tmp_path / "new", "--key", update.public_key)
    assert "cosmos fetch URL --have OLD -o NEW" in cosmos("apply", delta, *words).fails(5).err


def test_a_release_whose_index_is_made_otherwise_makes_no_delta(
    update: Update, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `apply` could not make again is not promised."""
    from cosmos.pack import image_file

    monkeypatch.setattr(image_file, "_INDEX_LEVEL", 1)
    made = cosmos("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key).fails(5)
    assert "this one makes another index" in made.err
    assert not (tmp_path / "d").exists()


def test_edited_and_noise_are_what_the_sizes_above_rest_on() -> None:
    assert noise(1, 100) == noise(1, 100) != noise(2, 100)
    assert sum(one != other for one, other in zip(noise(1, 10_000), edited(noise(1, 10_000)), strict=True)) == 2
    assert OLD_STARS[1].name == NEW_STARS[1].name
