"""RELEASE.json is in-toto's statement with SLSA's provenance, by the definitions that both projects publish."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import resource_descriptor_pb2, statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.image import program
from cosmos.image.flow import build_image
from cosmos.image.freeze import freeze
from cosmos.image.packed_definition import packed_definition
from cosmos.image.program import described_binary, described_sources
from cosmos.image.program_files import dir_hash
from cosmos.model.release import Builder, Release
from cosmos.pack.untar import read_tar
from fakes.builders import BUILDER
from fakes.carriers import MemoryCarrier
from fakes.galaxies import StarSpec, galaxy_files, make_signers
from fakes.worlds import OUT, MemoryWorld, memory_definition, memory_options

SCRIPT = 'function install()\n  mkdir("/srv")\nend\n'


@pytest.fixture(scope="module")
def world() -> MemoryWorld:
    signers = make_signers()
    world = MemoryWorld(signers)
    stars = [StarSpec("zlib", files={"usr/lib/libz.so.1": b"zlib"}), StarSpec("made", script=SCRIPT)]
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", stars, signers))
    definition = memory_definition(stars={"zlib": "*", "made": "*"})
    freeze(definition, world)
    build_image(definition, world, memory_options())
    return world


@pytest.fixture
def statement(world: MemoryWorld) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.releases[OUT]["RELEASE.json"])
    return found


def judged(statement: dict[str, Any]) -> dict[str, Any]:
    """Return the predicate as SLSA's own definition reads it. An unknown or misspelt field raises `ParseError`."""
    Statement.copy_from_pb(ParseDict(statement, statement_pb2.Statement())).validate()
    read: dict[str, Any] = MessageToDict(ParseDict(statement["predicate"], provenance_pb2.Provenance()))
    return read


def test_the_definitions_of_in_toto_and_slsa_read_it_and_lose_nothing(statement: dict[str, Any]) -> None:
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert judged(statement) == statement["predicate"]


def test_these_definitions_refuse_a_field_that_the_specification_does_not_have(statement: dict[str, Any]) -> None:
    statement["predicate"]["runDetails"]["builder"]["digest"] = {}
    with pytest.raises(ParseError, match="digest"):
        judged(statement)


def test_what_the_specification_demands_is_there(statement: dict[str, Any]) -> None:
    """SLSA v1.0, Provenance: required are buildType, externalParameters and builder.id; a descriptor needs one of
    uri, digest and content."""
    definition, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition["buildType"] == "urn:cosmos:build:image:v2"
    assert definition["externalParameters"]
    assert run["builder"]["id"] == "urn:cosmos:builder:v1"
    for row in (*statement["subject"], *definition["resolvedDependencies"], *run["builder"]["builderDependencies"]):
        ResourceDescriptor.copy_from_pb(ParseDict(row, resource_descriptor_pb2.ResourceDescriptor())).validate()
        assert row.get("uri") or row.get("digest")


def test_every_input_stands_there_with_its_digest(statement: dict[str, Any], world: MemoryWorld) -> None:
    definition, release = memory_definition(stars={"zlib": "*", "made": "*"}), world.releases[OUT]
    rows = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    named = {row["name"]: row for row in rows}
    assert len(named) == len(rows)
    files = {row["name"]: row["digest"]["sha256"] for row in rows if "in" in row.get("annotations", {})}
    packed = b"".join(map(bytes, packed_definition(definition)))
    inside = [entry for entry in read_tar(packed, "definition.tar") if entry.kind == "file"]
    assert files == {entry.path.text: Digest.of(bytes(entry.content)).hex for entry in inside}
    assert "image/image.toml" in files and len(files) > 2
    assert named["universe.lock.toml"]["digest"]["sha256"] == Digest.of(release["universe.lock.toml"]).hex
    assert named["trust.toml"]["digest"]["sha256"] == Digest.of(b"the pinned keys").hex
    index = world.galaxies["core"].files["meta.toml"]
    assert named["galaxy:core"]["digest"]["sha256"] == Digest.of(index).hex
    assert named["made-1.0.0"]["annotations"]["script"] == str(Digest.of(SCRIPT.encode()))
    assert named["zlib-1.0.0"]["annotations"]["script"] == ""
    bills = json.loads(release["sbom.cdx.json"])["components"]
    assert {named[name]["uri"] for name in ("made-1.0.0", "zlib-1.0.0")} == {one["purl"] for one in bills}


def test_no_clock_no_host_and_no_number_of_the_build_goes_in(statement: dict[str, Any]) -> None:
    assert statement["predicate"]["runDetails"].keys() == {"builder"}


def test_the_builder_is_named_by_versions_and_by_its_own_bytes(tmp_path: Path) -> None:
    package = tmp_path / "cosmos"
    (package / "cli").mkdir(parents=True)
    (package / "about.py").write_text("VERSION\n")
    (package / "cli" / "b c.py").write_text("")
    before = described_sources(dir_hash(package))
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "about.pyc").write_bytes(b"cache")
    assert described_sources(dir_hash(package)) == before, "a cache is no part of the program"
    assert before.versions.keys() == {"cosmos", "python", "zstd"}
    assert {"name": "zstandard", "uri": "pkg:pypi/zstandard@0.25.0"} in before.parts
    (package / "about.py").write_text("other\n")
    assert described_sources(dir_hash(package)) != before
    binary = tmp_path / "binary"
    binary.write_bytes(b"program")
    parts = described_binary(binary).parts
    assert parts == ({"name": "cosmos", "digest": {"sha256": Digest.of(b"program").hex}},)


def test_a_library_has_the_version_that_pip_recorded_first_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions() -> dict[str, str]:
        named = [str(part["uri"]).removeprefix("pkg:pypi/") for part in described_sources("0").parts[1:]]
        return dict(one.split("@") for one in named)

    assert versions() == {name: metadata.version(name) for name in program._LIBRARIES}
    record = tmp_path / "near" / "Tomli_W-9.0.dist-info" / "METADATA"
    record.parent.mkdir(parents=True)
    record.write_text("Metadata-Version: 2.4\nName: tomli_w\nVersion: 9.0.1\n\nVersion: 7\n")
    monkeypatch.syspath_prepend(tmp_path / "near")
    assert versions()["tomli-w"] == "9.0.1"
    archive = tmp_path / "libraries.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("lupa-8.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: lupa\nVersion: 8.0\n")
    monkeypatch.setattr(sys, "path", [str(archive), str(tmp_path / "near"), str(tmp_path / "missing")])
    assert versions() == {"lupa": "8.0", "tomli-w": "9.0.1"}, "and no others, which have no records here"


def test_anybody_can_compute_the_digest_of_a_source_tree_with_plain_tools(tmp_path: Path) -> None:
    """The command is the one of in-toto's DigestSet, and of the docs."""
    for name in ("b.py", "B.py", "a/z.lua", "a.py", "é.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    command = "find . -type f -not -path '*/__pycache__/*' | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum"
    said = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == dir_hash(tmp_path)


# As format 1 wrote it: no builder but a version, and no input besides stars and galaxies.
FORMAT_1 = b"""{
  "_type": "https://in-toto.io/Statement/v1",
  "predicate": {
    "buildDefinition": {
      "buildType": "urn:cosmos:build:image:v1",
      "externalParameters": {
        "image": "rescue"
      },
      "internalParameters": {
        "level": 9
      },
      "resolvedDependencies": [
        {
          "name": "zlib-1.3.1"
        }
      ]
    },
    "runDetails": {
      "builder": {
        "id": "urn:cosmos:builder:v1",
        "version": {
          "cosmos": "0.1.0"
        }
      }
    }
  },
  "predicateType": "https://slsa.dev/provenance/v1",
  "subject": []
}
"""


def test_a_release_of_format_1_is_still_read_and_written_as_it_was() -> None:
    old = Release.parse(FORMAT_1, "RELEASE.json")
    assert (old.form, old.builder) == (1, Builder(versions={"cosmos": "0.1.0"}))
    assert old.to_bytes() == FORMAT_1


@pytest.mark.parametrize("stated", ["urn:cosmos:build:image:v3", "https://example.com/other"])
def test_a_release_of_an_unknown_format_is_refused(stated: str) -> None:
    data = FORMAT_1.replace(b"urn:cosmos:build:image:v1", stated.encode())
    with pytest.raises(Malformed, match=r"predicate\.buildDefinition\.buildType: want one of .*v2, got"):
        Release.parse(data, "RELEASE.json")


@pytest.mark.parametrize("form", [1, 2])
def test_the_builder_of_a_format_has_its_fields_and_no_other(form: int) -> None:
    data = json.loads(FORMAT_1)
    builder = data["predicate"]["runDetails"]["builder"]
    if form == 1:
        builder["builderDependencies"] = []
    else:
        data["predicate"]["buildDefinition"]["buildType"] = "urn:cosmos:build:image:v2"
    with pytest.raises(Malformed, match=r"builder\.(builderDependencies: unknown key|version\.python: missing)"):
        Release.parse(json.dumps(data).encode(), "RELEASE.json")


def test_another_builder_changes_nothing_but_its_own_part(world: MemoryWorld) -> None:
    release = Release.parse(world.releases[OUT]["RELEASE.json"], "RELEASE.json")
    here = replace(release, builder=replace(BUILDER, versions={**BUILDER.versions, "python": "3.13.5"}))
    assert release != here
    assert release.by(here) == here
    assert replace(release, external={}).by(here) != here
    old = replace(release, form=1, builder=Builder(versions={"cosmos": "0.1.0"}), resolved=())
    assert old.by(here) == here
    assert replace(old, internal={}).by(here) != here
