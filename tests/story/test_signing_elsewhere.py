"""A release signed on another machine than the one that builds it; locks that are signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

SIGNED_LOCK = "[policy]\nsigned-lock = true"


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(tmp_path)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_release_signed_elsewhere_is_byte_for_byte_one_signed_in_place(
    image: ImageFixture, tmp_path: Path, cosmos: Cosmos
) -> None:
    here, there, other = tmp_path / "here", tmp_path / "there", tmp_path / "other-machine"
    cosmos("build", image.folder, "--home", image.home, "--out", here, "--key", image.secret_key).ok()
    built = cosmos("build", image.folder, "--home", image.home, "--out", there, "--unsigned-release").ok()
    assert "cosmos key sign-request" in built.err
    other.mkdir()
    request = (there / "RELEASE.request").rename(other / "RELEASE.request")
    said = cosmos("key", "sign-request", request, "--key", image.secret_key).ok()
    assert "small 1.0.0 x86_64" in said.out
    assert sum(len(file.read_bytes()) for file in other.iterdir()) < 100_000, "it is short"
    cosmos("attach-signature", there, other / "RELEASE.signature").ok()
    assert files(there) == files(here)
    cosmos("verify", there, "--key", image.public_key).ok()


def test_a_request_and_a_signature_beside_the_release_go_when_it_is_answered(
    image: ImageFixture, cosmos: Cosmos
) -> None:
    cosmos("build", image.folder, "--home", image.home, "--unsigned-release").ok()
    cosmos("key", "sign-request", image.out / "RELEASE.request", "--key", image.secret_key).ok()
    cosmos("attach-signature", image.out, image.out / "RELEASE.signature").ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()


def test_a_signature_takes_the_place_of_another_signature_alone(
    image: ImageFixture, tmp_path: Path, cosmos: Cosmos
) -> None:
    cosmos("build", image.folder, "--home", image.home, "--unsigned-release").ok()
    sign = ("key", "sign-request", image.out / "RELEASE.request", "--key", image.secret_key, "--out")
    mine, signature = tmp_path / "mine.txt", tmp_path / "signature"
    mine.write_text("a year of work\n")
    said = cosmos(*sign, mine).fails(2).err
    assert f"{mine}: is there, and is no signature of a release" in said
    assert "remove it first, or name another file" in said
    assert mine.read_text() == "a year of work\n"
    cosmos(*sign, signature).ok()
    first = signature.read_bytes()
    signature.write_bytes(first.replace(b"sha256:", b"sha257:"))
    cosmos(*sign, signature).ok()
    assert signature.read_bytes() == first


def test_a_signature_of_another_release_is_refused_and_nothing_is_written(
    image: ImageFixture, tmp_path: Path, cosmos: Cosmos
) -> None:
    cosmos("build", image.folder, "--home", image.home, "--unsigned-release").ok()
    cosmos(
        "key", "sign-request", image.out / "RELEASE.request", "--key", image.secret_key, "--out", tmp_path / "s"
    ).ok()
    text = (image.folder / "image.toml").read_text()
    (image.folder / "image.toml").write_text(text.replace('version = "1.0.0"', 'version = "1.0.1"'))
    cosmos("build", image.folder, "--home", image.home, "--unsigned-release").ok()
    before = files(image.out)
    assert "but the release is sha256:" in cosmos("attach-signature", image.out, tmp_path / "s").fails(4).err
    assert files(image.out) == before


def test_a_changed_signature_is_refused(image: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home, "--unsigned-release").ok()
    cosmos(
        "key", "sign-request", image.out / "RELEASE.request", "--key", image.secret_key, "--out", tmp_path / "s"
    ).ok()
    other = SecretKey.generate(KeyName("other"), "release").public
    text = (tmp_path / "s").read_text()
    (tmp_path / "s").write_text(text.replace(image.signers["release"].public.line, other.line))
    assert "is not a signature by other" in cosmos("attach-signature", image.out, tmp_path / "s").fails(4).err


def test_a_request_is_signed_by_a_release_key_alone(image: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home, "--unsigned-release").ok()
    image.signers["author"].save(tmp_path / "author.key", None)
    request = image.out / "RELEASE.request"
    outcome = cosmos("key", "sign-request", request, "--key", tmp_path / "author.key").fails(4)
    assert "has the role author, which does not sign" in outcome.err
    request.write_text(request.read_text().replace('payload = "', 'payload = "QUJD'))
    cosmos("key", "sign-request", request, "--key", image.secret_key).fails(4)
    assert not (image.out / "RELEASE.signature").exists()


def test_an_image_may_demand_a_signed_lock(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, tables=SIGNED_LOCK)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    outcome = cosmos("build", image.folder, "--home", image.home).fails(4)
    assert "universe.lock.toml: is not signed" in outcome.err
    assert not image.out.exists()
    cosmos("freeze", image.folder, "--home", image.home, "--sign", image.secret_key).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    assert (image.out / "universe.lock.toml.dsse").is_file()
    cosmos("verify", image.out, "--key", image.public_key).ok()


@pytest.mark.parametrize("demanded", [True, False])
def test_a_lock_that_was_changed_after_it_was_signed_is_refused(tmp_path: Path, cosmos: Cosmos, demanded: bool) -> None:
    image = make_image(tmp_path, tables=SIGNED_LOCK if demanded else "")
    cosmos("freeze", image.folder, "--home", image.home, "--sign", image.secret_key).ok()
    lock = image.folder / "universe.lock.toml"
    lock.write_text(lock.read_text() + "# one line more\n")
    assert "universe.lock.toml.dsse: signs sha256:" in cosmos("build", image.folder, "--home", image.home).fails(4).err


def test_a_lock_signed_by_a_key_that_is_not_pinned_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, tables=SIGNED_LOCK)
    SecretKey.generate(KeyName("mallory"), "release").save(tmp_path / "mallory.key", None)
    cosmos("freeze", image.folder, "--home", image.home, "--sign", tmp_path / "mallory.key").ok()
    assert "want a signature by a pinned key" in cosmos("build", image.folder, "--home", image.home).fails(4).err


def test_to_freeze_again_without_a_key_drops_a_signature_over_another_lock(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home, "--sign", image.secret_key).ok()
    assert cosmos("freeze", image.folder, "--home", image.home, "--json").json()["signed"], "the same lock keeps it"
    text = (image.folder / "image.toml").read_text()
    (image.folder / "image.toml").write_text(text.replace("[stars]\n", '[stars]\nbase = "*"\n'))
    assert not cosmos("freeze", image.folder, "--home", image.home, "--json").json()["signed"]
    cosmos("build", image.folder, "--home", image.home).ok()
