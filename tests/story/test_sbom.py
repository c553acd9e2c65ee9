"""`cosmos sbom`: the bill of a release is its own file; that of a system lists what is installed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos


@pytest.fixture
def built(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    image = make_image(tmp_path, tables='[[output]]\nformat = "tar.zst"\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    return image


@pytest.mark.parametrize(("form", "name"), [("spdx", "sbom.spdx.json"), ("cyclonedx", "sbom.cdx.json")])
def test_the_bill_of_a_release_is_its_own_file_and_a_subject_of_it(
    form: str, name: str, built: ImageFixture, cosmos: Cosmos
) -> None:
    said = cosmos("sbom", built.out, "--format", form).ok().out
    assert said == (built.out / name).read_text() == cosmos("sbom", built.folder, "--format", form).ok().out
    release = json.loads((built.out / "RELEASE.json").read_bytes())
    assert name in {row["name"] for row in release["subject"]}


def test_every_star_of_the_lock_is_listed_with_its_digest(built: ImageFixture, cosmos: Cosmos) -> None:
    packages = {one["name"]: one for one in cosmos("sbom", built.out).json()["packages"]}
    assert set(packages) == {"small", "base", "app", "everything"}
    lock = (built.out / "universe.lock.toml").read_text()
    for name in ("base", "app", "everything"):
        assert packages[name]["checksums"][0]["checksumValue"] in lock


def test_a_bill_that_was_changed_is_refused(built: ImageFixture, cosmos: Cosmos) -> None:
    file = built.out / "sbom.spdx.json"
    file.write_text(file.read_text().replace("base", "bass"))
    assert "RELEASE.json names" in cosmos("sbom", built.out).fails(4).err


def test_a_system_lists_what_is_installed(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    assert cosmos("sbom", root).json()["packages"][0]["name"] == "system"
    cosmos("sbom", tmp_path).fails(2)


def test_the_bill_of_a_system_says_what_it_cannot_know(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    """It claims neither that nobody signed a star, nor that it was made in 1970; two states have two names."""
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", next(built.out.glob("*.tar.zst")), "-C", root], check=True)
    universe = root / "var/lib/cosmos/universe.toml"
    os.utime(universe, (1_750_000_000, 1_750_000_000))
    said = cosmos("sbom", root).ok()
    bill = json.loads(said.out)
    assert "records no descriptions, no signers of 4 of its 4 stars" in said.err
    assert "records no descriptions" in bill["creationInfo"]["comment"]
    assert bill["creationInfo"]["created"] == "2025-06-15T15:06:40Z"
    assert {one.get("sourceInfo") for one in bill["packages"]} == {None, "from galaxy core"}
    assert cosmos("sbom", root).json() == bill
    universe.write_text(universe.read_text().replace('version = "2.0.0"', 'version = "2.0.1"'))
    os.utime(universe, (1_750_000_000, 1_750_000_000))
    assert cosmos("sbom", root).json()["documentNamespace"] != bill["documentNamespace"]
    other = cosmos("sbom", root, "--format", "cyclonedx").json()["metadata"]
    assert other["timestamp"] == "2025-06-15T15:06:40Z"
    assert "records no descriptions" in other["properties"][0]["value"]
