"""A system whose image is gone gets the next release from its own files: `cosmos apply --from-root`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.huge_files import HUGE_BYTES, grow, hash_no_huge_file
from fakes.programs import Cosmos
from fakes.updates import Update, files_of, make_update


@pytest.fixture(scope="session")
def update(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> Update:
    """OLD and NEW, which no test changes."""
    return make_update(tmp_path_factory.mktemp("systems"), succeed)


@pytest.fixture
def root(update: Update, tmp_path: Path) -> Path:
    """A system that was made by the image of OLD."""
    folder = tmp_path / "root"
    folder.mkdir()
    image = next(update.old.glob("*.tar.zst"))
    subprocess.run(["tar", "--zstd", "--no-same-owner", "-xpf", image, "-C", folder], check=True)
    return folder


@pytest.fixture
def delta(update: Update, cosmos: Cosmos, tmp_path: Path) -> Path:
    """A delta that can be applied to the files of a system."""
    file = tmp_path / "d.delta"
    said = cosmos("delta", update.old, update.new, "-o", file, "--key", update.secret_key, "--installed").ok()
    assert f"cosmos apply {file} --from-root ROOT -o NEW" in said.out
    return file


def test_the_files_of_a_system_make_the_new_release(
    update: Update, root: Path, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    (root / "etc/hostname").write_text("mine\n")  # the operator's own changes: not of a star
    (root / "usr/bin/tool").chmod(0o700)
    cosmos("apply", delta, "--from-root", root, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)


def test_such_a_delta_also_works_with_the_old_release(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    cosmos("apply", delta, "--from", update.old, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)


def test_changed_files_are_named_with_their_stars_and_nothing_is_made(
    update: Update, root: Path, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    (root / "usr/bin/same").write_bytes(b"changed")
    (root / "usr/bin/other").unlink()
    (root / "usr/bin/gone").write_bytes(b"of a star that the new release does not have")
    failed = cosmos("apply", delta, "--from-root", root, "-o", tmp_path / "new", "--key", update.public_key).fails(7)
    assert "/usr/bin/same (same-1.0.0): is sha256:" in failed.err
    assert "/usr/bin/other (tool-1.0.0): cannot be read: no such file" in failed.err
    assert "usr/bin/gone" not in failed.err
    assert "delta --installed --whole same --whole tool" in failed.err or "--whole tool --whole same" in failed.err
    assert not (tmp_path / "new").exists()


def test_a_file_that_grew_without_end_is_named_and_not_read(
    update: Update, root: Path, delta: Path, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_no_huge_file(monkeypatch)
    size = (root / "usr/bin/same").stat().st_size
    grow(root / "usr/bin/same")
    failed = cosmos("apply", delta, "--from-root", root, "-o", tmp_path / "new", "--key", update.public_key).fails(7)
    assert f"/usr/bin/same (same-1.0.0): has {HUGE_BYTES} bytes, but was installed with {size}" in failed.err


def test_a_file_whose_size_was_not_recorded_is_not_read_without_end_either(
    update: Update, root: Path, delta: Path, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_no_huge_file(monkeypatch)
    size = (root / "usr/bin/same").stat().st_size
    universe = root / "var/lib/cosmos/universe.toml"
    lines = universe.read_text().split("\n")
    (place,) = (number for number, line in enumerate(lines) if " usr/bin/same " in line and "file 0" in line)
    assert lines[place].count(f" {size} ") == 1
    lines[place] = lines[place].replace(f" {size} ", " - ")
    universe.write_text("\n".join(lines))
    grow(root / "usr/bin/same")
    failed = cosmos("apply", delta, "--from-root", root, "-o", tmp_path / "new", "--key", update.public_key).fails(7)
    assert f"/usr/bin/same (same-1.0.0): has {HUGE_BYTES} bytes, but was installed with " in failed.err
    assert " at most" in failed.err


def test_a_record_that_was_changed_makes_another_layer_which_is_told(
    update: Update, root: Path, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    """Nobody signed the universe. The bytes of the files are as they were, and their mode in it is not."""
    universe = root / "var/lib/cosmos/universe.toml"
    text = universe.read_text()
    (line,) = (line for line in text.split("\n") if " usr/bin/same " in line and "file 0755 " in line)
    universe.write_text(text.replace(line, line.replace("file 0755 ", "file 0700 ")))
    failed = cosmos("apply", delta, "--from-root", root, "-o", tmp_path / "new", "--key", update.public_key).fails(7)
    assert "same-1.0.0: its files make the layer sha256:" in failed.err
    assert ", but the image had sha256:" in failed.err
    assert "delta --installed --whole same" in failed.err
    assert not (tmp_path / "new").exists()


def test_a_changed_star_may_be_carried_whole(update: Update, root: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    (root / "usr/bin/same").write_bytes(b"changed")
    words = ("--key", update.secret_key, "--installed", "--whole", "same")
    cosmos("delta", update.old, update.new, "-o", tmp_path / "d", *words).ok()
    cosmos("apply", tmp_path / "d", "--from-root", root, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)


def test_a_delta_for_images_alone_is_told_from_one_for_systems(
    update: Update, root: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    cosmos("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key).ok()
    words = ("-o", tmp_path / "new", "--key", update.public_key)
    assert "cosmos delta --installed" in cosmos("apply", tmp_path / "d", "--from-root", root, *words).fails(2).err
    (tmp_path / "empty").mkdir()
    cosmos("apply", tmp_path / "d", "--from-root", tmp_path / "empty", *words).fails(2)
