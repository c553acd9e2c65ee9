"""A release of which a file is gone: each command that wants the file says which, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from fakes.images import ImageFixture, copy_image
from fakes.programs import Cosmos

AGAIN = "build the image again with this cosmos"
# what is gone: command, exit code, error, hint
INCOMPLETE = {
    ("sbom.spdx.json", "sbom {out}"): (2, "{out}/sbom.spdx.json: is not there", AGAIN),
    ("universe.lock.toml", "lint {out}"): (2, "{out}: is a release without universe.lock.toml", "cosmos verify {out}"),
    ("universe.lock.toml", "attest {out} --key {key}"): (
        2,
        "{out}/universe.lock.toml: is not there",
        "name the folder that `cosmos build` made, such as images/NAME/out",
    ),
    ("receipts.json", "show base --receipt --release {out}"): (
        3,
        "{out}: has no receipts",
        "name a release: --release images/NAME/out",
    ),
    ("*.tar.zst", "diff {out} {out}"): (
        2,
        "{out}: has no image, or several: want one .tar.zst file",
        "name the image itself: cosmos diff {out}/NAME.tar.zst OTHER",
    ),
    ("*.tar.zst", "diff {out}/gone.tar.zst {out}"): (2, "{out}/gone.tar.zst: is not there", ""),
    ("RELEASE.json", "report {out}"): (2, "{out}: is no release", "to make one: cosmos build"),
    ("universe.lock.toml", "verify {out} --key {pub}"): (7, "universe.lock.toml: is missing", ""),
    ("manifest.txt", "verify {out} --key {pub}"): (7, "manifest.txt: is missing", ""),
    ("", "verify {out} --key {pub} --quorum 0"): (2, "--quorum", ""),
}


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path_factory.mktemp("whole"), tables='[[output]]\nformat = "tar.zst"\n')


@pytest.mark.parametrize(("gone", "words"), INCOMPLETE)
def test_what_is_gone_is_named_with_the_way_out(
    gone: str, words: str, built_once: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    image = copy_image(built_once, tmp_path)
    code, problem, hint = INCOMPLETE[gone, words]
    for file in image.out.glob(gone) if gone else ():
        file.unlink()
    key = tmp_path / "alice.key"
    SecretKey(name=KeyName("alice"), role="attester", seed=b"a" * 32).save(key, None)
    names = {"out": image.out, "key": key, "pub": image.public_key}
    told = cosmos(*(word.format(**names) for word in words.split())).fails(code)
    assert problem.format(**names) in told.err
    assert hint.format(**names) in told.err


def test_one_star_s_receipt_that_is_not_there_is_told_with_those_that_are(
    built_once: ImageFixture, cosmos: Cosmos
) -> None:
    told = cosmos("show", "bass", "--receipt", "--release", built_once.out).fails(3)
    assert f"bass: is not a star of {built_once.out}" in told.err
    assert "there are: app, base, everything" in told.err
