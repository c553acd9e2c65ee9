"""One changed byte, anywhere between the author and the release, is found before anything is unpacked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.image import flow as main_flow
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from fakes.galaxies import StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(
        tmp_path, (BASE, APP, META), tables='[[output]]\nformat = "tar.zst"\n[[output]]\nformat = "cpio.zst"'
    )
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


def flip(file: Path, place: int | None = None) -> None:
    """Change one bit of one byte, by default in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    file.write_bytes(data)


def build(image: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Build, and fail the test if anything is unpacked."""

    def unpack(*_: object, **__: object) -> None:
        pytest.fail("a star was unpacked")

    monkeypatch.setattr(main_flow, "stage_layers", unpack)
    outcome = cosmos("build", image.folder, "--home", image.home)
    assert not image.out.exists()
    return outcome


CHANGES: dict[str, Callable[[ImageFixture], Path]] = {
    "archive": lambda image: image.galaxy.archive("app-2.0.0"),
    "statement": lambda image: image.galaxy.statement("app-2.0.0"),
    "statement's envelope": lambda image: Path(f"{image.galaxy.statement('app-2.0.0')}.dsse"),
    "nebula's archive": lambda image: image.galaxy.archive("everything-1.0.0"),
    "index": lambda image: image.galaxy.index,
    "index's envelope": lambda image: Path(f"{image.galaxy.index}.dsse"),
}


@pytest.mark.objective("SO-03", "SO-17")
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_changed_byte_in_a_galaxy_is_refused_before_anything_is_unpacked(
    image: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, what: str, warm: bool
) -> None:
    if warm:
        cosmos("build", image.folder, "--home", image.home, "--out", image.home / "first").ok()
    flip(CHANGES[what](image))
    build(image, cosmos, monkeypatch).fails(4)


@pytest.mark.objective("SO-06", "SO-17")
def test_a_changed_install_script_is_refused(
    image: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive is made anew round a changed script; only the digests and the statement can tell."""
    statement, index = image.galaxy.statement("app-2.0.0").read_bytes(), image.galaxy.index.read_bytes()
    hostile = StarSpec("app", "2.0.0", APP.files, APP.dependencies, script=f"{APP.script}-- and one thing more\n")
    make_galaxy(image.galaxy.path, "core", (BASE, hostile, META), image.signers)
    image.galaxy.statement("app-2.0.0").write_bytes(statement)
    image.galaxy.index.write_bytes(index)
    build(image, cosmos, monkeypatch).fails(4)


@pytest.mark.objective("SO-06")
@pytest.mark.parametrize("size", [-1, 1])
def test_an_archive_that_is_cut_or_grown_is_refused(
    image: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    archive = image.galaxy.archive("app-2.0.0")
    data = archive.read_bytes()
    archive.write_bytes(data[:-1] if size < 0 else data + b"\0")
    build(image, cosmos, monkeypatch).fails(4)


STRANGER = SecretKey.generate(KeyName.parse("stranger"), "author")
WRONG: dict[str, tuple[StarSpec, str]] = {
    "signed by a key that is not pinned": (StarSpec("app", "2.0.0", {"a": b"a"}, signer=STRANGER), "app-2.0.0"),
    "not signed": (StarSpec("app", "2.0.0", {"a": b"a"}, signed=False), "app-2.0.0"),
    "signed for another name": (StarSpec("ape", "2.0.0", {"a": b"a"}), "ape-2.0.0"),
    "signed for another version": (StarSpec("app", "2.0.1", {"a": b"a"}), "app-2.0.1"),
}


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("what", WRONG)
def test_a_star_that_is_not_what_it_is_signed_as_is_refused(
    image: ImageFixture, cosmos: Cosmos, what: str, tmp_path: Path
) -> None:
    """Neither a lock made before (build) nor one that is made now (freeze) takes it, though the index lists it."""
    spec, made_as = WRONG[what]
    rows = [write_spec(image.galaxy, other, 2) for other in (BASE, META)]
    row = write_spec(image.galaxy, spec, 2)
    for folder, suffixes in (("packages", [".tar.zst"]), ("stars", [".toml", ".toml.dsse"])):
        for suffix in suffixes:
            made = image.galaxy.path / folder / f"{made_as}{suffix}"
            if made.exists():
                made.rename(image.galaxy.path / folder / f"app-2.0.0{suffix}")
    listed = type(row)(name=APP.star().name, version=APP.star().version, statement=row.statement, archive=row.archive)
    write_index(image.galaxy, [*rows, listed], seq=2)
    cosmos("build", image.folder, "--home", image.home).fails(4)
    (image.folder / "universe.lock.toml").unlink()
    cosmos("freeze", image.folder, "--home", image.home).fails(4)
    assert not image.out.exists()


@pytest.mark.objective("SO-04")
def test_a_star_signed_for_another_galaxy_is_refused(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    other = make_galaxy(tmp_path / "other", "testing", (BASE, APP, META), image.signers)
    for file in other.path.rglob("app-2.0.0*"):
        (image.galaxy.path / file.relative_to(other.path)).write_bytes(file.read_bytes())
    failed = cosmos("build", image.folder, "--home", image.home).fails(4)
    assert "app-2.0.0" in failed.err


@pytest.mark.objective("SO-05")
def test_an_index_by_a_key_that_is_not_pinned_is_refused(image: ImageFixture, cosmos: Cosmos) -> None:
    make_galaxy(image.galaxy.path, "core", (BASE, APP, META), make_signers("stranger"), seq=2)
    cosmos("freeze", image.folder, "--home", image.home).fails(4)


@pytest.mark.objective("SO-07")
def test_a_rolled_back_index_is_refused(image: ImageFixture, cosmos: Cosmos) -> None:
    make_galaxy(image.galaxy.path, "core", (BASE, APP, META), image.signers, seq=2)
    cosmos("freeze", image.folder, "--home", image.home, "--upgrade").ok()
    make_galaxy(image.galaxy.path, "core", (BASE, APP, META), image.signers, seq=1)
    failed = cosmos("build", image.folder, "--home", image.home).fails(4)
    assert "seq" in failed.err


@pytest.mark.objective("SO-06")
def test_a_later_snapshot_does_not_stop_a_locked_build(image: ImageFixture, cosmos: Cosmos) -> None:
    """A lock pins; what the galaxy adds afterwards is nothing to it."""
    newer = StarSpec("base", "1.3.0", {"bin/tool": b"new"})
    rows = [write_spec(image.galaxy, newer, 2)]
    index = image.galaxy.index.read_bytes()
    assert b"base" in index
    keep = [write_spec(image.galaxy, spec, 1) for spec in (BASE, APP, META)]
    write_index(image.galaxy, [*keep, *rows], seq=2)
    cosmos("build", image.folder, "--home", image.home).ok()
    assert cosmos("cat", image.out, "usr/bin/tool").ok().out == "tool" * 1000


@pytest.mark.objective("SO-01")
def test_without_trust_anchors_nothing_is_built(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    failed = cosmos("build", image.folder, "--home", tmp_path / "empty").fails(4)
    assert "then: cosmos trust init trust.toml --sha256" in failed.err


@pytest.mark.objective("SO-15")
def test_a_lock_with_a_star_taken_out_by_hand_is_refused(image: ImageFixture, cosmos: Cosmos) -> None:
    lock = image.folder / "universe.lock.toml"
    text = lock.read_text()
    stars = re.split(r"(?=\[\[star\]\])", text)
    kept = [part for part in stars if 'name = "base"' not in part]
    lock.write_text("".join(kept).replace('    "base",\n', ""))
    failed = cosmos("build", image.folder, "--home", image.home)
    assert failed.code in (2, 3), failed.err


@pytest.mark.objective("SO-25")
def test_every_changed_byte_of_a_release_is_found_and_its_file_named(image: ImageFixture, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()
    for file in sorted(image.out.iterdir()):
        good = file.read_bytes()
        step = max(1, len(good) // 40)
        for place in (*range(0, len(good), step), len(good) - 1):
            flip(file, place)
            outcome = cosmos("verify", image.out, "--key", image.public_key)
            assert outcome.code in (4, 7), f"{file.name} byte {place}: exit {outcome.code}\n{outcome.err}"
            assert file.name in outcome.err
            file.write_bytes(good)
    cosmos("verify", image.out, "--key", image.public_key).ok()


@pytest.mark.objective("SO-25")
def test_a_missing_an_added_and_a_linked_file_of_a_release_are_named(image: ImageFixture, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    added = image.out / "backdoor"
    added.write_text("x")
    assert "backdoor" in cosmos("verify", image.out, "--key", image.public_key).fails(7).err
    added.unlink()
    manifest = image.out / "manifest.txt"
    elsewhere = manifest.rename(image.home / "manifest.txt")
    assert "manifest.txt" in cosmos("verify", image.out, "--key", image.public_key).fails(7).err
    manifest.symlink_to(elsewhere)
    assert "manifest.txt" in cosmos("verify", image.out, "--key", image.public_key).fails(7).err


@pytest.mark.objective("SO-25")
def test_a_release_by_another_key_is_refused(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    other = tmp_path / "other.pub"
    other.write_text(make_signers("stranger")["release"].public.to_text())
    assert "RELEASE.json" in cosmos("verify", image.out, "--key", other).fails(4).err


@pytest.mark.objective("SO-25")
def test_an_unsigned_release_does_not_verify(image: ImageFixture, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home).ok()
    cosmos("verify", image.out, "--key", image.public_key).fails(4)


@pytest.mark.objective("SO-06")
def test_a_damaged_store_is_found(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    """A cached layer is a trust boundary: its digest is checked whenever it is used."""
    cosmos("build", image.folder, "--home", image.home).ok()
    first = {file.name: file.read_bytes() for file in image.out.iterdir()}
    for blob in (image.home / "store").rglob("*"):
        if blob.is_file() and blob.stat().st_size > 0 and ".lock" not in blob.name:
            blob.chmod(0o644)
            flip(blob)
    again = tmp_path / "again"
    outcome = cosmos("build", image.folder, "--home", image.home, "--out", again)
    if outcome.code == 0:  # made again from the galaxy
        assert {file.name: file.read_bytes() for file in again.iterdir()} == first
    else:
        outcome.fails(4)
