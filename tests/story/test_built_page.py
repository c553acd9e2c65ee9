"""`report.html`, a file of every release: what it says, what it cannot say, and older releases without it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.model.release import Release
from cosmos.model.reporter import Silent
from cosmos.release.report.from_folder import facts_of
from cosmos.release.report.page import page
from cosmos.trust.roles import IN_TOTO_TYPE
from fakes.galaxies import StarSpec
from fakes.images import APP, BASE, META, ImageFixture, copy_image
from fakes.pages import ParsedPage
from fakes.programs import Cosmos

Built = Callable[..., ImageFixture]
PAGE = "report.html"
RIGHTS = StarSpec(
    "rights",
    "1.0.0",
    {"usr/bin/other": b"other"},
    script='function install()\n  copy("usr/bin/other", "/usr/bin/other")\n  chmod("/usr/bin/other", "4755")\n'
    '  copy("usr/bin/other", "/usr/bin/pinger")\n  setcap("/usr/bin/pinger", "cap_net_raw+ep")\nend\n',
    packages=("other", "another"),
)
ALLOWED = '[policy]\nsetuid = ["rights"]\nsetcap = ["rights"]\n'
LAYERED = '[[output]]\nformat = "tar.zst"\n'
INITRAMFS = '[[output]]\nformat = "cpio.zst"\nexclude = ["usr/bin/pinger"]\n'


@pytest.fixture
def image(tmp_path: Path, built_image: Built) -> ImageFixture:
    return built_image(tmp_path, (BASE, APP, META))


def described(image: ImageFixture) -> Release:
    return Release.parse((image.out / "RELEASE.json").read_bytes(), "RELEASE.json")


def sign(image: ImageFixture, release: Release) -> None:
    """Let the release's signer sign another description of it."""
    data = release.to_bytes()
    (image.out / "RELEASE.json").write_bytes(data)
    (image.out / "RELEASE.json.dsse").write_bytes(image.signers["release"].sign(IN_TOTO_TYPE, data))


def by_older_program(image: ImageFixture) -> None:
    """Make the release one of an older Cosmos, which wrote no page."""
    release = described(image)
    program = {"name": "builder/cosmos", "digest": {"dirHash": "ab" * 32}}
    subjects = tuple(one for one in release.subjects if one.name != PAGE)
    builder = replace(release.builder, parts=(program, *release.builder.parts[1:]))
    (image.out / PAGE).unlink()
    sign(image, replace(release, subjects=subjects, builder=builder))


def with_page(image: ImageFixture, data: bytes, **fields: object) -> None:
    """Exchange the page, and sign a description that names it."""
    (image.out / PAGE).write_bytes(data)
    release = described(image)
    subjects = tuple(
        replace(one, digest=Digest.of(data), size_bytes=len(data)) if one.name == PAGE else one
        for one in release.subjects
    )
    sign(image, replace(release, subjects=subjects, **fields))


def test_the_page_names_every_other_file_and_says_what_it_cannot_say(image: ImageFixture) -> None:
    data = (image.out / PAGE).read_bytes()
    found, release = ParsedPage(data), described(image)
    stated = {one.name: str(one.digest) for one in release.subjects}
    assert stated[PAGE] == str(Digest.of(data))
    assert {name for name, digest in stated.items() if digest not in found.text} == {PAGE}
    links = {link for link in found.links if not link.startswith("#")}
    assert links == {f"./{name}" for name in (*stated, "RELEASE.json")}
    assert all((image.out / link).is_file() for link in links)
    assert "cannot say who signed the release" in found.text
    assert release.builder.versions["python"] not in found.text, "another builder's page would be another one"


@pytest.mark.parametrize("outputs", ["", LAYERED + INITRAMFS, INITRAMFS], ids=["layered", "both", "initramfs"])
def test_the_build_says_of_a_release_what_is_read_from_the_finished_one(
    tmp_path: Path, built_image: Built, outputs: str
) -> None:
    wishes = {"everything": "*", "rights": "*"}
    image = built_image(tmp_path, (BASE, APP, META, RIGHTS), wishes, tables=ALLOWED + outputs)
    facts = facts_of(image.out, None, Silent())
    assert bool(facts.rights) == bool(facts.layers) == (outputs != INITRAMFS)
    subjects = tuple(one for one in facts.release.subjects if one.name != PAGE)
    read = replace(facts, verdict="unfinished", release=replace(facts.release, subjects=subjects))
    assert page(read, changes=None, beside="") == (image.out / PAGE).read_bytes()


def test_the_page_of_layers_from_the_store_is_the_page_of_new_ones(image: ImageFixture, cosmos: Cosmos) -> None:
    cold = (image.out / PAGE).read_bytes()
    shutil.rmtree(image.out)
    cosmos("build", image.folder, "--home", image.home).ok()  # not signed: the page knows nothing of that
    assert (image.out / PAGE).read_bytes() == cold


def test_a_changed_page_is_refused_by_verify(image: ImageFixture, cosmos: Cosmos) -> None:
    (image.out / PAGE).write_bytes((image.out / PAGE).read_bytes() + b"\n")
    assert f"{PAGE}: has" in cosmos("verify", image.out, "--key", image.public_key).fails(7).err
    (image.out / PAGE).unlink()
    assert f"{PAGE}: is missing" in cosmos("verify", image.out, "--key", image.public_key).fails(7).err


def test_a_rebuild_makes_the_same_page(image: ImageFixture, cosmos: Cosmos) -> None:
    again = ("rebuild", image.out, "--home", image.home, "--key", image.public_key)
    assert cosmos(*again, "--json").json()["same"] is True
    with_page(image, b"<!DOCTYPE html>\n<p>forged\n")
    said = json.loads(cosmos(*again, "--packed", "--json").fails(7).out)
    assert said["rebuilds"][0]["files"] == ["RELEASE.json", PAGE]


def test_a_rebuild_compares_the_page_of_the_same_program_on_another_python(image: ImageFixture, cosmos: Cosmos) -> None:
    again = ("rebuild", image.out, "--home", image.home, "--key", image.public_key)
    builder = described(image).builder
    elsewhere = replace(builder, versions={**builder.versions, "python": "3.99.0"})
    sign(image, replace(described(image), builder=elsewhere))
    assert cosmos(*again, "--json").json()["same"] is True
    with_page(image, b"<!DOCTYPE html>\n<p>forged\n")
    said = json.loads(cosmos(*again, "--packed", "--json").fails(7).out)
    assert said["rebuilds"][0]["files"] == ["RELEASE.json", PAGE]


def test_a_rebuild_does_not_compare_the_words_of_another_program(image: ImageFixture, cosmos: Cosmos) -> None:
    builder = described(image).builder
    program = {"name": "builder/cosmos", "digest": {"dirHash": "ab" * 32}}
    other = replace(builder, parts=(program, *builder.parts[1:]))
    with_page(image, b"<!DOCTYPE html>\n<p>in other words\n", builder=other)
    said = cosmos("rebuild", image.out, "--home", image.home, "--key", image.public_key).ok().out
    assert "report.html is not compared: its words are those of the program that writes it" in said


def test_a_release_without_a_page_is_verified_rebuilt_and_reported(image: ImageFixture, cosmos: Cosmos) -> None:
    by_older_program(image)
    cosmos("verify", image.out, "--key", image.public_key).ok()
    again = cosmos("rebuild", image.out, "--home", image.home, "--key", image.public_key, "--json").json()
    assert (again["same"], again["same-builder"]) == (True, False)
    cosmos("report", image.out, "-o", image.folder / "page.html", "--key", image.public_key).ok()
    assert PAGE not in ParsedPage((image.folder / "page.html").read_bytes()).text


def test_a_release_without_a_page_is_followed_by_one_that_has_it(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    old = copy_image(image, tmp_path / "old")
    by_older_program(old)
    compared = json.loads(cosmos("diff", old.out, image.out, "--json").fails(7).out)
    assert compared["files"] == [], "the page says nothing that other files do not say"
    cosmos("delta", old.out, image.out, "-o", tmp_path / "delta", "--key", image.secret_key).ok()
    cosmos("apply", tmp_path / "delta", "--from", old.out, "-o", tmp_path / "new", "--key", image.public_key).ok()
    assert (tmp_path / "new" / PAGE).read_bytes() == (image.out / PAGE).read_bytes()
    shutil.rmtree(image.out)
    shutil.copytree(old.out, image.out)
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()
    assert (image.out / PAGE).read_bytes() == (tmp_path / "new" / PAGE).read_bytes()


def test_an_output_may_not_take_the_name_of_the_page(image: ImageFixture, cosmos: Cosmos) -> None:
    file = image.folder / "image.toml"
    file.write_text(f'{file.read_text()}\n{LAYERED}[[output]]\nformat = "file"\npath = "etc/hostname"\nas = "{PAGE}"\n')
    said = cosmos("build", image.folder, "--home", image.home).fails(2)
    assert f"output: {PAGE} is made twice" in said.err


def test_the_page_holds_no_path_of_the_builder(image: ImageFixture) -> None:
    assert str(image.folder.parent).encode() not in (image.out / PAGE).read_bytes()


def built_with_report(image: ImageFixture, cosmos: Cosmos, file: Path, *words: object) -> ParsedPage:
    cosmos("build", image.folder, "--home", image.home, "--report", file, *words).ok()
    return ParsedPage(file.read_bytes())


def test_build_report_says_what_was_made_why_and_what_was_reused(image: ImageFixture, cosmos: Cosmos) -> None:
    file = image.folder / "build.html"
    shutil.rmtree(image.out)
    found = built_with_report(image, cosmos, file, "--key", image.secret_key)
    assert "made 0 of 3 layers" in found.text
    assert "base, app, everything" in found.text
    assert "stage 3 stars, 3 of them from the store" in found.text
    assert f"Signed by {image.signers['release'].public.id}" in found.text
    assert "./out/report.html" in found.links
    inside = (image.out / PAGE).read_bytes()
    shutil.rmtree(image.home / "store")
    text = built_with_report(image, cosmos, file).text
    assert "made 3 of 3 layers" in text
    assert re.search(r"Layers that were made\s+base\s*this program has not made one of this archive", text)
    assert "Layers that were reused" not in text
    assert b'id="build"' not in inside, "what one build reused is no part of a release"


def test_build_report_of_an_unchanged_image_says_so(image: ImageFixture, cosmos: Cosmos) -> None:
    file = image.folder / "build.html"
    cosmos("build", image.folder, "--home", image.home).ok()
    found = built_with_report(image, cosmos, file)
    assert "Nothing had changed since the last build" in found.text


def test_build_report_into_the_release_is_refused_before_the_build(image: ImageFixture, cosmos: Cosmos) -> None:
    shutil.rmtree(image.out)
    said = cosmos("build", image.folder, "--home", image.home, "--report", image.out / PAGE).fails(2)
    assert "lies inside the release" in said.err
    assert f"cosmos build {image.folder} --report {image.folder / PAGE}" in said.err
    assert not image.out.exists()
