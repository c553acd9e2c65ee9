"""A statement is signed as it must be, but the archive is not what it says; or the lock is not what was signed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.digest import Digest
from cosmos.model.names import Arch
from cosmos.model.release import Release
from cosmos.model.version import Version
from cosmos.trust.roles import IN_TOTO_TYPE
from fakes.galaxies import StarSpec, write_index, write_spec
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos

LIES: dict[str, tuple[dict[str, Any], str]] = {
    "script": ({"script": Digest.of(b"another script")}, "signs the script"),
    "no script": ({"script": None}, "signs the script none"),
    "contents": ({"content": Digest.of(b"another tree")}, "signs the contents"),
    "unpacked size": ({"unpacked_bytes": 4096}, "4096"),
    "checksum": (
        {"star": replace(APP.star(), checksums={"app": Digest.of(b"another file")})},
        "files/app does not have the SHA-256",
    ),
}


@pytest.mark.objective("SO-03")
@pytest.mark.parametrize("what", LIES)
def test_an_archive_that_is_not_what_its_author_signed_is_refused(tmp_path: Path, cosmos: Cosmos, what: str) -> None:
    lies, sentence = LIES[what]
    image = make_image(tmp_path)
    rows = [write_spec(image.galaxy, spec, 2) for spec in (BASE, META)]
    write_index(image.galaxy, [*rows, write_spec(image.galaxy, APP, 2, **lies)], seq=2)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    failed = cosmos("build", image.folder, "--home", image.home).fails(4)
    assert "app-2.0.0" in failed.err
    assert sentence in failed.err
    assert not image.out.exists()


@pytest.mark.objective("SO-04")
def test_an_archive_that_holds_another_star_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    """The author signs an archive for `app` in which star.toml says `ape`."""
    image = make_image(tmp_path)
    rows = [write_spec(image.galaxy, spec, 2) for spec in (BASE, META)]
    ape = StarSpec("ape", "2.0.0", APP.files, APP.dependencies, APP.script)
    made = write_spec(image.galaxy, ape, 2)
    archive = image.galaxy.archive("ape-2.0.0")
    lies = {"archive": made.archive, "size_bytes": archive.stat().st_size, "file": "packages/ape-2.0.0.tar.zst"}
    write_index(image.galaxy, [*rows, write_spec(image.galaxy, APP, 2, **lies)], seq=2)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert "holds ape 2.0.0" in cosmos("build", image.folder, "--home", image.home).fails(4).err


EDITS: dict[str, tuple[str, str]] = {
    "arch": ('arch = "any"', 'arch = "x86_64"'),
    "unpacked-bytes": ("unpacked-bytes = ", "unpacked-bytes = 1"),
    "script": ('script = "sha256:', f'script = "{Digest.of(b"x")}" # '),
    "file": ('file = "packages/app', 'file = "./packages/app-elsewhere/app'),
}


def edited(image: ImageFixture, old: str, new: str) -> None:
    """Edit the table of `app` in the lock by hand."""
    lock = image.folder / "universe.lock.toml"
    before, table, after = lock.read_text().partition('name = "app"')
    assert old in after
    lock.write_text(before + table + after.replace(old, new, 1))


@pytest.mark.objective("SO-06")
@pytest.mark.parametrize("what", EDITS)
def test_a_lock_that_was_edited_away_from_what_is_signed_is_refused(tmp_path: Path, cosmos: Cosmos, what: str) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    edited(image, *EDITS[what])
    failed = cosmos("build", image.folder, "--home", image.home).fails(4)
    assert "app-2.0.0" in failed.err
    assert f"pins {what}" in failed.err


@pytest.mark.objective("SO-06")
def test_a_lock_whose_archive_is_another_stars_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    """Size and digest of a file that is there and whole, but that is not what the statement signs."""
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    app, base = (image.galaxy.archive(star).read_bytes() for star in ("app-2.0.0", "base-1.2.0"))
    lock = image.folder / "universe.lock.toml"
    text = lock.read_text().replace(Digest.of(app), Digest.of(base))
    lock.write_text(text.replace(f"size-bytes = {len(app)}\n", f"size-bytes = {len(base)}\n"))
    cosmos("build", image.folder, "--home", image.home).fails(4)


@pytest.mark.objective("SO-08")
def test_a_star_that_the_locked_snapshot_does_not_list_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    """Mix and match: an old lock's star with a later snapshot that has withdrawn it."""
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    old = image.galaxy.index.read_bytes()
    newer = StarSpec("app", "2.0.1", APP.files, APP.dependencies, APP.script)
    write_index(image.galaxy, [write_spec(image.galaxy, spec, 2) for spec in (BASE, newer, META)], seq=2)
    lock = image.folder / "universe.lock.toml"
    text = lock.read_text().replace(Digest.of(old), Digest.of(image.galaxy.index.read_bytes()))
    lock.write_text(text.replace("seq = 1\n", "seq = 2\n"))
    failed = cosmos("build", image.folder, "--home", image.home).fails(4)
    assert "does not list it as the lock pins it" in failed.err


@pytest.mark.objective("SO-08")
def test_a_seq_that_the_snapshot_has_not_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    lock = image.folder / "universe.lock.toml"
    lock.write_text(lock.read_text().replace("seq = 1\n", "seq = 7\n"))
    assert "the lock names seq 7" in cosmos("build", image.folder, "--home", image.home).fails(4).err


@pytest.mark.objective("SO-04")
def test_a_star_for_another_machine_does_not_come_in_through_its_statement(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    other = replace(APP.star(), arch=Arch("aarch64"), version=Version.parse("2.0.0"))
    rows = [write_spec(image.galaxy, spec, 2) for spec in (BASE, META)]
    write_index(image.galaxy, [*rows, write_spec(image.galaxy, APP, 2, star=other)], seq=2)
    cosmos("build", image.folder, "--home", image.home).fails(4)
    cosmos("freeze", image.folder, "--home", image.home, "--upgrade").fails(3)


def signed_again(image: ImageFixture, manifest: bytes, **internal: str) -> None:
    """Exchange a release's manifest, and sign the release as if that were right."""
    file = image.out / "manifest.txt"
    file.write_bytes(manifest)
    release = Release.parse((image.out / "RELEASE.json").read_bytes(), "RELEASE.json")
    subjects = tuple(
        replace(subject, digest=Digest.of(manifest), size_bytes=len(manifest)) if subject.name == file.name else subject
        for subject in release.subjects
    )
    data = replace(release, subjects=subjects, internal={**release.internal, **internal}).to_bytes()
    (image.out / "RELEASE.json").write_bytes(data)
    (image.out / "RELEASE.json.dsse").write_bytes(image.signers["release"].sign(IN_TOTO_TYPE, data))


@pytest.mark.objective("SO-25")
def test_a_signed_manifest_that_is_not_the_content_root_is_found(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    manifest = (image.out / "manifest.txt").read_bytes().replace(b"dir 0755", b"dir 0777", 1)
    signed_again(image, manifest)
    assert "manifest.txt: hashes to" in cosmos("verify", image.out, "--key", image.public_key).fails(7).err
    signed_again(image, manifest, contentRoot=Digest.of(manifest))
    failed = cosmos("verify", image.out, "--key", image.public_key).fails(7)
    assert "is not as manifest.txt lists it" in failed.err


def signed_without(image: ImageFixture, name: str) -> None:
    """Take a file out of a release, and sign the release as if it never had one."""
    (image.out / name).unlink()
    release = Release.parse((image.out / "RELEASE.json").read_bytes(), "RELEASE.json")
    data = replace(release, subjects=tuple(one for one in release.subjects if one.name != name)).to_bytes()
    (image.out / "RELEASE.json").write_bytes(data)
    (image.out / "RELEASE.json.dsse").write_bytes(image.signers["release"].sign(IN_TOTO_TYPE, data))


@pytest.mark.parametrize("name", ["manifest.txt", "universe.lock.toml"])
def test_a_signed_release_that_names_no_manifest_or_no_lock_is_malformed(
    tmp_path: Path, cosmos: Cosmos, name: str
) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    signed_without(image, name)
    failed = cosmos("verify", image.out, "--key", image.public_key).fails(2)
    assert f"{image.out}/RELEASE.json: names no {name}\n" in failed.err
    assert "hint: build the image again with this cosmos" in failed.err


def test_a_signed_release_has_a_content_root_and_a_manifest_within_the_limit(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    manifest = (image.out / "manifest.txt").read_bytes()
    monkeypatch.setattr("cosmos.release.verify.MAX_MANIFEST_BYTES", len(manifest))
    cosmos("verify", image.out, "--key", image.public_key).ok()
    monkeypatch.setattr("cosmos.release.verify.MAX_MANIFEST_BYTES", len(manifest) - 1)
    failed = cosmos("verify", image.out, "--key", image.public_key).fails(2)
    assert f"manifest.txt: has {len(manifest)} bytes, the limit is {len(manifest) - 1}" in failed.err
    monkeypatch.undo()
    signed_again(image, manifest, contentRoot="sha256:0")
    failed = cosmos("verify", image.out, "--key", image.public_key).fails(2)
    assert f"{image.out}/RELEASE.json: internalParameters.contentRoot: " in failed.err
    assert "hint: build the image again with this cosmos" in failed.err
