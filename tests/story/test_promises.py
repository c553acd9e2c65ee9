"""Sentences of the documentation, each tried: the page must have the sentence, and a command must do what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.images import make_image, write_image
from fakes.programs import Cosmos

FIRST = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z"})


def says(repo: Path, page: str, sentence: str) -> None:
    """Fail unless the page has the sentence, wherever its lines are broken."""
    text = re.sub(r"\s+", " ", (repo / page).read_text())
    assert sentence in text, f"{page} no longer says: {sentence}"


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> Path:
    """A system whose galaxy `core`, beside it, has published twice; `old` is the galaxy of before."""
    root = tmp_path / "system"
    root.mkdir()
    make_galaxy(tmp_path / "core", "core", [FIRST], make_signers(), seq=1)
    shutil.copytree(tmp_path / "core", tmp_path / "old")
    make_galaxy(tmp_path / "core", "core", [FIRST], make_signers(), seq=2)
    trust = make_signers().write_trust(tmp_path / "trust.toml")
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", tmp_path / "core", "--root", root).ok()
    return root


@pytest.mark.parametrize("first", ["show zlib", "install zlib --dry-run", "sync", "freeze", "install zlib"])
@pytest.mark.parametrize("then", ["show zlib", "install zlib --dry-run", "sync", "install zlib"])
def test_every_command_that_verified_a_newer_index_refuses_an_older_one_after_it(
    repo: Path, cosmos: Cosmos, system: Path, tmp_path: Path, first: str, then: str
) -> None:
    says(repo, "docs/device.md", "Every command that verifies a newer index remembers it")
    says(repo, "docs/device.md", "stops every command that reads it (exit 4)")
    cosmos(*first.split(), "--root", system).ok()
    shutil.rmtree(tmp_path / "core")
    shutil.copytree(tmp_path / "old", tmp_path / "core")
    assert "has seq 1, but seq 2 was seen before" in cosmos(*then.split(), "--root", system).fails(4).err


def test_only_the_line_of_a_galaxy_lets_its_stars_be_unsigned(repo: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    says(repo, "README.md", "No option of `build` or `install` turns this off.")
    says(
        repo, "README.md", "If you write `allow-unsigned = true` beside a galaxy's address, its stars need no signature"
    )
    for command in ("build", "install", "freeze"):
        assert "unsigned" not in cosmos(command, "--help").ok().out.replace("--unsigned-release", "")
    image = make_image(tmp_path)
    make_galaxy(image.galaxy.path, "core", [StarSpec("solo", files={"usr/a": b"a"}, signed=False)], image.signers)
    write_image(image, {"solo": "*"})
    cosmos("freeze", image.folder, "--home", image.home).fails(4)
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace('"../galaxy"', '{ url = "../galaxy", allow-unsigned = true }'))
    allowed = cosmos("freeze", image.folder, "--home", image.home).ok()
    assert "image.toml lets its stars be unsigned" in allowed.err
    cosmos("build", image.folder, "--home", image.home).ok()
    says(repo, "README.md", "Their sizes and digests still count.")
    archive = image.galaxy.archive("solo-1.0.0")
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    cosmos("build", image.folder, "--home", image.home).fails(4)


def test_an_address_with_https_is_opened(repo: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    """Whoever has TLS tries it: nobody listens there, and that is said, not that TLS is missing."""
    says(repo, "docs/formats/galaxy.md", "`https://` works too, also in the single-file binary")
    image = make_image(tmp_path)
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace("../galaxy", "https://127.0.0.1:9/galaxy"))
    failed = cosmos("freeze", image.folder, "--home", image.home).fails(5)
    assert "cannot be reached: connection refused" in failed.err
    assert "import ssl" in (repo / "freeze/entry.py").read_text()  # `make binary` tries it, too


def test_validate_reports_all_problems_at_once(stellar: Cosmos, tmp_path: Path) -> None:
    assert "report all problems at once" in stellar("validate", "--help").ok().out
    (tmp_path / "star").mkdir()
    (tmp_path / "star/star.toml").write_text('name = "s!"\nversion = "x"\ntype = "y"\nlicence = "MIT"\narch = "Z"\n')
    said = stellar("validate", tmp_path / "star")
    for key in ("name", "version", "type", "licence", "arch"):
        assert f"star.toml: {key}: " in said.out
    assert said.code == 2


def test_the_rescue_template_gives_a_root_shell_to_nobody_who_did_not_ask_for_it(
    repo: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    says(repo, "docs/formats/template.md", "A variable that decides who gets in has no default: the image states it.")
    image = make_image(tmp_path)
    file = image.folder / "image.toml"
    shutil.copytree(repo / "rootfs-templates/rescue", image.folder / "rescue")
    text = file.read_text().replace("./template", "./rescue").replace("\n[stars]", '\nmarker = "READY"\n[stars]')
    file.write_text(text)
    failed = cosmos("freeze", image.folder, "--home", image.home).fails(2)
    assert "vars.console_shell: the template needs it, but the image does not set it" in failed.err
    assert "root-without-password" in failed.err
    for value, shell in (("root-without-password", "respawn:-/bin/sh"), ("login", "respawn:/sbin/getty")):
        file.write_text(f'{text}\n[vars]\nconsole_shell = "{value}"\n')
        cosmos("freeze", image.folder, "--home", image.home).ok()
        cosmos("build", image.folder, "--home", image.home).ok()
        inittab = cosmos("cat", image.folder, "etc/inittab").ok().out
        assert inittab.count(shell) == 2
        assert inittab.count("respawn") == 2
