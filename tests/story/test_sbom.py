"""`cosmos sbom`: the bill of a release is its own file; that of a system lists what is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.tree.manifest import parse_manifest
from fakes.images import ImageFixture
from fakes.programs import Cosmos


@pytest.fixture
def built(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, tables='[[output]]\nformat = "tar.zst"\n')


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


@pytest.mark.parametrize("form", ["spdx", "cyclonedx"])
def test_the_files_of_a_release_are_listed_with_their_digests_and_stars(
    form: str, built: ImageFixture, cosmos: Cosmos
) -> None:
    bill = cosmos("sbom", built.out, "--format", form, "--files").json()
    lines = parse_manifest((built.out / "manifest.txt").read_bytes(), "manifest.txt")
    wanted = {f"/{line.path.text}": line.digest.hex for line in lines if line.kind == "file" and line.digest}
    if form == "spdx":
        found = {one["fileName"][1:]: one["checksums"][1]["checksumValue"] for one in bill["files"]}
    else:
        inside = [bill["metadata"]["component"], *bill["components"]]
        found = {file["name"]: file["hashes"][1]["content"] for one in inside for file in one.get("components", [])}
        (app,) = [one for one in bill["components"] if one["name"] == "app"]
        assert app["components"]
    assert wanted and found.items() >= wanted.items()
    file = next(built.out.glob("*.tar.zst"))
    whole = file.read_bytes()
    for changed, said in (
        (whole + b"x", "does not end with a seek table"),
        (
            whole[:20] + bytes((whole[20] ^ 1,)) + whole[21:],
            "is sha256:",
        ),  # in a frame; its index, at the end, is as it was
    ):
        file.write_bytes(changed)
        told = cosmos("sbom", built.out, "--format", form, "--files").fails(4)
        assert f"{file}: {said}" in told.err
        assert told.out == ""


def test_a_system_has_no_list_of_files_but_may_have_a_vex_document(
    built: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    assert "--files lists those of a release" in cosmos("sbom", root, "--files").fails(2).err
    vex = tmp_path / "vex.json"
    vex.write_text('{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/1", "statements": []}')
    bill = cosmos("sbom", root, "--vex", vex, "--format", "cyclonedx").json()
    assert bill["externalReferences"][0]["url"] == "https://example.org/1"
    listed = tmp_path / "list.json"
    listed.write_text("[]")
    said = cosmos("sbom", built.out, "--rebuilt", listed, "--vex", vex).ok()
    assert "list.json: 0 packages of Debian: none to look up" in said.err
    listed.write_text("{}")
    cosmos("sbom", built.out, "--rebuilt", listed).fails(2)


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
    assert "records no descriptions, no signers of 3 of its 3 stars" in said.err
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


def name_in_release(built: ImageFixture, name: str, data: bytes) -> None:
    """Put `data` in the place of a bill, and let RELEASE.json name it: nobody has to have signed RELEASE.json."""
    (built.out / name).write_bytes(data)
    document = json.loads((built.out / "RELEASE.json").read_bytes())
    row = next(one for one in document["subject"] if one["name"] == name)
    row["digest"]["sha256"], row["annotations"]["sizeBytes"] = hashlib.sha256(data).hexdigest(), len(data)
    (built.out / "RELEASE.json").write_text(json.dumps(document))


FAULTS = [
    ("spdx", {"SPDXID": 5}, "SPDXID: want a string, got an integer"),
    ("spdx", {"packages": 7}, "packages: want an array, got an integer"),
    ("spdx", {"packages": [5]}, "packages[0]: want a table, got an integer"),
    ("spdx", {"packages": []}, "packages: want one with the SPDXID SPDXRef-Image"),
    ("spdx", {"creationInfo": {"created": "x", "creators": []}}, "creationInfo.creators: want at least one"),
    ("spdx", {"relationships": "x"}, "relationships: want an array, got a string"),
    ("cdx", {"components": 3}, "components: want an array, got an integer"),
    ("cdx", {"components": [{"bom-ref": 5}]}, "components[0].bom-ref: want a string, got an integer"),
    ("cdx", {"metadata": {"component": 4}}, "metadata.component: want a table, got an integer"),
]


@pytest.mark.parametrize(("kind", "fault", "said"), FAULTS)
def test_a_bill_that_cosmos_did_not_write_is_named_with_the_place_of_its_fault(
    kind: str, fault: dict[str, object], said: str, built: ImageFixture, cosmos: Cosmos
) -> None:
    file = built.out / f"sbom.{kind}.json"
    name_in_release(built, file.name, json.dumps({**json.loads(file.read_bytes()), **fault}).encode())
    form = ("--format", "cyclonedx" if kind == "cdx" else "spdx")
    for words in ((), ("--files",)):
        told = cosmos("sbom", built.out, *form, *words).fails(2).err
        assert f"{file}: {said}" in told
        assert "hint: cosmos did not write this bill" in told


def test_a_key_of_the_other_form_in_a_bill_is_no_bug(built: ImageFixture, cosmos: Cosmos) -> None:
    file = built.out / "sbom.spdx.json"
    name_in_release(built, file.name, json.dumps({**json.loads(file.read_bytes()), "components": 3}).encode())
    cosmos("sbom", built.out, "--files").ok()


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", b"[]", b"[" * 100_000, b'{"packages":' + b'{"a":' * 500 + b"1" + b"}" * 501, b'{"packages": 1}'],
)
def test_a_bill_of_a_release_that_is_no_bill_is_malformed(data: bytes, built: ImageFixture, cosmos: Cosmos) -> None:
    name_in_release(built, "sbom.spdx.json", data)
    assert str(built.out) in cosmos("sbom", built.out, "--files").fails(2).err
