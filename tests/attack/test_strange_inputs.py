"""A pipe, a device or a folder in the place of any input file is refused at once: exit 2, with its name and kind."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

WAIT_SECONDS = 120  # that no command takes: one that waits for a pipe would wait for ever


@pytest.fixture(autouse=True)
def no_wait() -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def waited(number: int, frame: FrameType | None) -> NoReturn:
        raise AssertionError("a command waits for a pipe")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(WAIT_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ImageFixture:
    """An image with a signed release, a galaxy, keys and a home."""
    return make_image(tmp_path_factory.mktemp("built"))


@pytest.fixture
def image(built: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    """A copy of it for one test."""
    if not built.out.exists():
        cosmos("freeze", built.folder, "--home", built.home, "--sign", built.secret_key).ok()
        cosmos("build", built.folder, "--home", built.home, "--key", built.secret_key).ok()
        (built.folder.parent / "RELEASE.request").write_bytes(b"x")
    where = tmp_path / "copy"
    shutil.copytree(built.folder.parent, where, symlinks=True)
    return ImageFixture(where / "image", where / "home", built.galaxy, built.signers)


def pipe(file: Path) -> None:
    os.mkfifo(file)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def folder(file: Path) -> None:
    file.mkdir()


KINDS: dict[str, Callable[[Path], None]] = {"pipe": pipe, "device": device, "folder": folder}

# For each input: its path, and a command that reads it. HERE is the folder with the image, its home and its keys.
FREEZE = "cosmos freeze --check HERE/image --home HERE/home"
BUILD = "cosmos build HERE/image --offline --home HERE/home"
VERIFY = "cosmos verify HERE/image/out --key HERE/release.pub --home HERE/home"
SIGN = "cosmos key sign-request HERE/RELEASE.request --key HERE/release.key"
INPUTS: dict[str, str] = {
    "image/image.toml": FREEZE,
    "image/template/template.toml": BUILD,
    "image/universe.lock.toml": FREEZE,
    "image/universe.lock.toml.dsse": BUILD,
    "image/out/RELEASE.json": VERIFY,
    "image/out/RELEASE.json.dsse": VERIFY,
    "release.pub": VERIFY,
    "release.key": "cosmos freeze HERE/image --home HERE/home --sign HERE/release.key",
    "RELEASE.request": SIGN,
    "RELEASE.signature": "cosmos attach-signature HERE/image/out HERE/RELEASE.signature",
    "given.toml": f"cosmos trust init HERE/given.toml --sha256 {'0' * 64} --home HERE/other",
    "home/trust/trust.toml": BUILD,
    "image.tar.zst": "cosmos ls HERE/image.tar.zst",
    "script.lua": "cosmos nova HERE/script.lua",
    "star/star.toml": "stellar validate HERE/star",
    "star-1.0.0.tar.zst": "stellar validate HERE/star-1.0.0.tar.zst",
    "galaxy/meta.toml": "stellar index-galaxy HERE/galaxy",
    "system/universe.lock.toml": "cosmos install app --root HERE/system --constellation HERE/system/universe.lock.toml",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_no_plain_file_is_refused_as_an_input_at_once(
    name: str, kind: str, image: ImageFixture, cosmos: Cosmos, stellar: Cosmos
) -> None:
    here = image.folder.parent
    file = here / name
    if kind == "folder" and name in ("image.tar.zst", "star-1.0.0.tar.zst"):
        return  # these commands take folders as well
    file.unlink(missing_ok=True)
    file.parent.mkdir(exist_ok=True)
    KINDS[kind](file)
    program, *words = INPUTS[name].replace("HERE", str(here)).split()
    refused = (cosmos if program == "cosmos" else stellar)(*words)
    assert refused.code == 2
    said = refused.out + refused.err
    by_click = f"{file.name}' is a directory"
    assert f"{file.name}: is a {kind}; expected a plain file" in said or (kind == "folder" and by_click in said)


@pytest.mark.parametrize("words", [("build-star",), ("galaxy-init",), ("log", "check")])
def test_a_link_that_leads_to_itself_is_no_bug(words: tuple[str, ...], tmp_path: Path, stellar: Cosmos) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert stellar(*words, loop).code in (2, 4, 5)
