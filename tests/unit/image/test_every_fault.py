"""All faults of an image definition are told in one run, in the order of the file, each with its hint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosmos.errors import Malformed
from cosmos.image.definition import read_definition
from cosmos.model.image import Image
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

WRONG = """\
name = "small!"
version = "1.0.0"
arch = "x86_64"
template = 3
marke = "x"
constellations = ["a.toml", 4]
[galaxies]
core = 3
[policy]
size-budget-bytes = -1
unsigned-release = "yes"
[[output]]
format = "zip"
[[output]]
format = "tar.zst"
lvel = 3
"""
FAULTS = [
    "galaxies.core: want a string",
    "name: want letters",
    "policy.size-budget-bytes: want 0 to",
    "policy.unsigned-release: want true or false, got a string",
    "template: want a string, got an integer",
    "constellations[1]: want a string, got an integer",
    "source-date-epoch: missing",
    "marke: unknown key",
    "output[0].format: want one of",
    "output[1].lvel: unknown key",
]


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    return make_image(tmp_path)


def faults_of(path: Path) -> list[str]:
    with pytest.raises(Malformed) as caught:
        read_definition(path)
    return [one.problem for one in (caught.value, *caught.value.also)]


def test_every_fault_of_image_toml_is_told_at_once_and_none_twice(image: ImageFixture) -> None:
    (image.folder / "image.toml").write_text(WRONG)
    found = faults_of(image.folder)
    for part in FAULTS:
        assert sum(one.startswith(part) for one in found) == 1, (part, found)
    assert len(found) == len(FAULTS), found
    assert faults_of(image.folder) == found


def test_a_key_that_ends_in_a_bracket_is_a_fault_as_any_other(image: ImageFixture) -> None:
    file = image.folder / "image.toml"
    odd = '"x[abc]" = 1\n"]" = 2\n"y[3]" = 3\n"z[99999999999999999999]" = 4\n'
    file.write_text(odd + file.read_text())
    assert faults_of(image.folder) == [
        f"{key}: unknown key" for key in ("x[abc]", "]", "y[3]", "z[99999999999999999999]")
    ]


def test_of_very_many_missing_files_only_some_are_told_and_looked_for(image: ImageFixture) -> None:
    file = image.folder / "image.toml"
    names = ",".join(f'"a{number}.toml"' for number in range(20_000))
    file.write_text(f"constellations = [{names}]\n" + file.read_text())
    looked = list[Path]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cosmos.image.definition._constellation", lambda path: looked.append(path) or is_missing(path))
        assert len(faults_of(image.folder)) == 51
    assert len(looked) == 51


def is_missing(path: Path) -> bytes:
    raise Malformed(str(path), f"{path.name} is not there")


def test_a_fault_that_two_readers_find_is_told_once(image: ImageFixture) -> None:
    file = image.folder / "image.toml"
    file.write_text("output = 3\n" + file.read_text())
    assert faults_of(image.folder) == ["output: want an array, got an integer"]


def test_a_template_s_file_whose_name_is_not_utf8_is_refused_before_a_build(image: ImageFixture) -> None:
    (image.folder / "template/root").mkdir(exist_ok=True)
    (image.folder / "template/root/a\udcff").touch()
    assert faults_of(image.folder) == ["its name is not UTF-8, so no release can name it"]


def test_every_file_that_is_missing_is_told_at_once(image: ImageFixture) -> None:
    file = image.folder / "image.toml"
    more = 'constellations = ["a.toml", "b.toml"]\nfinish = "finish.lua"\ntrust = "trust.toml"\n'
    file.write_text(more + file.read_text().replace("template = ", 'template = "./none" #'))
    found = faults_of(image.folder)
    assert sum("is not there" in one for one in found) >= 4, found


@pytest.mark.parametrize(
    ("wrong", "said"), [("", "trust-version: missing"), ("trust-version = 1\n[roles]\n", "roles.root: missing")]
)
def test_trust_anchors_that_a_system_could_not_read_are_not_laid_into_its_image(
    image: ImageFixture, cosmos: Cosmos, wrong: str, said: str
) -> None:
    file = image.folder / "image.toml"
    file.write_text('trust = "trust.toml"\n' + file.read_text())
    image.signers.write_trust(image.folder / "trust.toml")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    (image.folder / "trust.toml").write_text(wrong)
    for command in ("freeze", "build"):
        refused = cosmos(command, image.folder, "--home", image.home).fails(2)
        assert f"error: {image.folder}/trust.toml: {said}" in refused.err
    assert not image.out.exists()


def test_each_fault_has_its_line_and_its_hint_and_the_exit_code_is_2(image: ImageFixture, cosmos: Cosmos) -> None:
    (image.folder / "image.toml").write_text(WRONG)
    outcome = cosmos("freeze", image.folder, "--home", image.home, "--json").fails(2)
    for part in FAULTS:
        assert f": {part}" in outcome.err
    assert outcome.err.count("cosmos: error: ") == len(FAULTS)
    assert "cosmos: hint: did you mean marker?" in outcome.err
    error = json.loads(outcome.out)["error"]
    assert [error["what"], *(one["what"] for one in error["also"])] == faults_of(image.folder)


def test_a_document_that_nobody_wrote_is_not_read_fifty_times() -> None:
    data = WRONG.encode() + b"# " + b"x" * (64 << 10) + b"\n"
    with pytest.raises(Malformed) as caught:
        Image.parse(data, "image.toml")
    assert caught.value.also == ()


def test_no_more_than_fifty_faults_are_told() -> None:
    data = WRONG.encode().replace(b"marke", b"".join(b"k%d = 1\n" % one for one in range(200)) + b"marke")
    with pytest.raises(Malformed) as caught:
        Image.parse(data, "image.toml")
    assert len(caught.value.also) <= 50
