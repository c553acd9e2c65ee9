"""`cosmos report RELEASE`: one page for people; against an older release, what is new."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import APP, BASE, META, ImageFixture
from fakes.pages import ParsedPage
from fakes.programs import Cosmos

NEWER = StarSpec(
    "app",
    "2.1.0",
    {"app": b"app" * 5000 + b"!"},
    {"base": "^1.2"},
    script='function install()\n  copy("app", "/usr/bin/app")\n  chmod("/usr/bin/app", "4755")\nend\n',
)
ALLOWED = '[policy]\nsetuid = ["app"]\n'


@pytest.fixture
def image(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, (BASE, APP, META), tables=ALLOWED)


def test_a_verified_page_names_the_signer_and_leaves_the_release_as_it_was(image: ImageFixture, cosmos: Cosmos) -> None:
    before = sorted(path.name for path in image.out.iterdir())
    file = image.folder / "report.html"
    said = cosmos("report", image.folder, "-o", file, "--key", image.public_key).ok()
    assert said.out == f"{file}: {file.stat().st_size:,} bytes\n"
    found = ParsedPage(file.read_bytes())
    assert f"Signed by {image.signers['release'].public.id}" in found.text
    assert "was not checked" not in found.text
    assert "./out/RELEASE.json.dsse" not in found.links
    assert "./out/RELEASE.json" in found.links
    assert sorted(path.name for path in image.out.iterdir()) == before
    cosmos("verify", image.out, "--key", image.public_key).ok()


def test_without_output_the_page_is_written_here_and_has_no_links_out_of_the_folder(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert json.loads(cosmos("report", image.out, "--json").ok().out)["report"] == "small-1.0.0-report.html"
    found = ParsedPage(Path("small-1.0.0-report.html").read_bytes())
    assert all(link.startswith("#") for link in found.links)
    assert "sbom.spdx.json" in found.text


def test_a_page_inside_the_release_is_refused_because_nobody_signed_it(image: ImageFixture, cosmos: Cosmos) -> None:
    said = cosmos("report", image.out, "-o", image.out / "report.html").fails(2)
    assert "lies inside the release" in said.err
    assert f"cosmos report {image.out} -o {image.folder / 'report.html'}" in said.err
    cosmos("verify", image.out, "--key", image.public_key).ok()
    (image.folder / "link").symlink_to("out")
    cosmos("report", image.out, "-o", image.folder / "link" / "report.html").fails(2)


@pytest.mark.parametrize("command", [("report", "out", "-o"), ("build", "--report")])
def test_a_page_does_not_take_the_place_of_what_is_no_page(
    image: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """The name of another file of the image, mistyped, made a page of it; a device was replaced by a file."""
    monkeypatch.chdir(image.folder)
    rest = (".", "--home", image.home, "--key", image.secret_key) if command[0] == "build" else ()
    before = Path("image.toml").read_bytes()
    assert "image.toml: is there, and is no page" in cosmos(*command, "image.toml", *rest).fails(2).err
    assert Path("image.toml").read_bytes() == before
    os.mkfifo("pipe")
    cosmos(*command, "pipe", *rest).fails(2)
    assert Path("pipe").is_fifo()
    for _ in range(2):
        cosmos(*command, "page.html", *rest).ok()
    assert Path("page.html").read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_release_that_waits_for_its_signature_has_a_page(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    build = ("build", image.folder, "--home", image.home, "--out", tmp_path / "waiting", "--unsigned-release")
    cosmos(*build, "--report", page).ok()
    assert (tmp_path / "waiting" / "RELEASE.request").is_file()
    assert "The signature was not checked" in ParsedPage(page.read_bytes()).text
    (tmp_path / "waiting" / "more").write_text("")
    assert "more: is not part of the release" in cosmos("report", tmp_path / "waiting", "-o", page).fails(7).err


def test_a_release_with_another_file_than_it_names_has_no_page(image: ImageFixture, cosmos: Cosmos) -> None:
    bill = image.out / "sbom.cdx.json"
    bill.write_bytes(bill.read_bytes().replace(b"MIT", b"BSD"))
    said = cosmos("report", image.out, "-o", image.folder / "r.html").fails(7)
    assert "sbom.cdx.json" in said.err
    assert not (image.folder / "r.html").exists()


def test_another_key_than_the_signer_s_refuses_the_page(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_text(image.signers["author"].public.to_text())
    cosmos("report", image.out, "-o", image.folder / "r.html", "--key", other).fails(4)
    assert not (image.folder / "r.html").exists()


def test_what_is_no_release_is_named_with_the_way_to_make_one(cosmos: Cosmos, tmp_path: Path) -> None:
    said = cosmos("report", tmp_path).fails(2)
    assert "is no release" in said.err
    assert "cosmos build" in said.err


def test_against_an_older_release_stars_paths_rights_and_sizes_are_named(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(image.out, old)
    make_galaxy(image.galaxy.path, "core", (BASE, NEWER, META), image.signers, seq=2)
    cosmos("freeze", image.folder, "--home", image.home, "--upgrade").ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    file = image.folder / "new.html"
    cosmos("report", image.out, "-o", file, "--against", old).ok()
    text = ParsedPage(file.read_bytes()).text
    assert "What is new since small 1.0.0" in text
    assert "2.0.0 → 2.1.0" in text
    assert "15,000 -> 15,001 bytes, 0755 -> 4755, runs with its owner's rights" in text
    assert "mode 4755, runs with the rights of 0:0" in text
    assert "Rights that were not there before" in text
    assert "/etc/app.conf" in text
    assert 'now does {"do":"chmod","mode":"4755","path":"usr/bin/app"}' in text
    again = file.read_bytes()
    cosmos("report", image.out, "-o", file, "--against", old).ok()
    assert file.read_bytes() == again
