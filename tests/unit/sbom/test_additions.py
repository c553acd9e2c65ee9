"""An operator's additions to a bill: the forms' own validators accept them, and each stands at what it is about."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.star import Origin
from cosmos.release.additions import added_to, read_rebuilds, read_vex
from cosmos.sbom.additions import Additions, ListedFile, debian_purls
from cosmos.sbom.bill import Bill, Component
from cosmos.sbom.cyclonedx import cyclonedx
from cosmos.sbom.spdx import spdx
from fakes.bill_validators import cyclonedx_faults, valid_spdx

FORMS = {"spdx": spdx, "cyclonedx": cyclonedx}
ZLIB = Component(
    name="zlib",
    version="1.2.13",
    arch="x86_64",
    license="Zlib",
    description="",
    archive=Digest.of(b"zlib"),
    galaxy="core",
    signers=(),
    dependencies=(),
    origins=(Origin(ecosystem="deb", name="zlib1g", version="1:1.2.13.dfsg-1+deb12u1", digest=Digest.of(b"deb")),),
)
BILL = Bill(name="rescue", version="1.0.0", root=Digest.of(b"root"), epoch=0, cosmos="0.1.0", components=(ZLIB,))
OPENVEX = {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex/1", "statements": []}
CDX_VEX = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    "version": 2,
    "vulnerabilities": [{"id": "CVE-2026-1", "ratings": [{"score": 7.5}]}],
}
GOOD = {
    "name": "zlib1g",
    "version": "1:1.2.13.dfsg-1+deb12u1",
    "architecture": "amd64",
    "status": "GOOD",
    "build_id": 7,
}


def listed(path: str, layer: str) -> ListedFile:
    sha1 = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
    return ListedFile(path=path, layer=layer, sha1=sha1, sha256=Digest.of(path.encode()))


FILES = (
    listed("/etc/hostname", "template"),
    listed("/usr/lib/a b\\xe9.so", "zlib-1.2.13"),
    listed("/usr/lib/z", "zlib-1.2.13"),
)


def written(folder: Path, name: str, document: object) -> Path:
    file = folder / name
    file.write_text(json.dumps(document))
    return file


def additions(folder: Path) -> Additions:
    return Additions(
        files=FILES,
        rebuilds=(read_rebuilds(written(folder, "rebuilt.json", [GOOD])),),
        vex=(
            read_vex(written(folder, "open.json", OPENVEX)),
            read_vex(written(folder, "cdx.json", CDX_VEX)),
        ),
    )


def added(form: str, more: Additions, bill: Bill = BILL) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(added_to(FORMS[form](bill), form, more, "out"))
    return found


def test_spdx_s_own_validator_accepts_every_addition(tmp_path: Path) -> None:
    file = written(tmp_path, "sbom.spdx.json", added("spdx", additions(tmp_path)))
    found = valid_spdx(file)
    assert len(found.files) == 3 and len(found.annotations) == 1


def test_cyclonedx_s_own_schema_accepts_every_addition(tmp_path: Path) -> None:
    text = json.dumps(added("cyclonedx", additions(tmp_path)))
    assert cyclonedx_faults(text) is None


def test_each_file_stands_with_its_star_and_the_image_s_own_with_the_image() -> None:
    more = Additions(files=FILES)
    document = added("spdx", more)
    names = {one["SPDXID"]: one["fileName"] for one in document["files"]}
    holds = {
        (one["spdxElementId"], names[one["relatedSpdxElement"]])
        for one in document["relationships"]
        if one["relatedSpdxElement"] in names
    }
    assert holds == {
        ("SPDXRef-Image", "./etc/hostname"),
        ("SPDXRef-Star-zlib", "./usr/lib/a b\\xe9.so"),
        ("SPDXRef-Star-zlib", "./usr/lib/z"),
    }
    star = next(one for one in document["packages"] if one["SPDXID"] == "SPDXRef-Star-zlib")
    sums = "".join(sorted(one.sha1 for one in FILES[1:])).encode()
    code = hashlib.sha1(sums, usedforsecurity=False).hexdigest()
    assert star["packageVerificationCode"] == {"packageVerificationCodeValue": code}
    other = added("cyclonedx", more)
    (zlib,) = [one for one in other["components"] if one["bom-ref"] == "star:zlib"]
    assert [one["name"] for one in zlib["components"]] == [one.path for one in FILES[1:]]
    assert [one["name"] for one in other["metadata"]["component"]["components"]] == ["/etc/hostname"]
    assert zlib["components"][1]["hashes"][1] == {"alg": "SHA-256", "content": FILES[2].sha256.hex}


def test_who_else_rebuilt_a_package_stands_at_the_package(tmp_path: Path) -> None:
    more = additions(tmp_path)
    said = f"GOOD, says rebuilt.json ({Digest.of((tmp_path / 'rebuilt.json').read_bytes())})"
    noted = [one for one in added("spdx", more)["packages"] if "annotations" in one]
    assert [(one["name"], one["annotations"][0]["comment"]) for one in noted] == [("zlib1g", f"rebuilt: {said}")]
    (zlib,) = [one for one in added("cyclonedx", more)["components"] if one["name"] == "zlib1g"]
    assert zlib["properties"] == [{"name": "cosmos:rebuilt", "value": said}]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "GOOD"),
        ({"status": "BAD"}, "BAD"),
        ({"architecture": "all"}, "GOOD"),
        ({"architecture": "arm64"}, ""),
        ({"version": "1:1.2.13.dfsg-1"}, ""),
        ({"name": "zlib"}, ""),
    ],
)
def test_a_package_is_the_one_that_was_rebuilt_only_by_name_version_and_architecture(
    change: dict[str, str], status: str, tmp_path: Path
) -> None:
    found = read_rebuilds(written(tmp_path, "list.json", {"total": 1, "records": [{**GOOD, **change}]}))
    for form in FORMS:
        (purl,) = debian_purls(json.loads(FORMS[form](BILL)), form)
        assert found.status(purl) == status


def test_a_vex_document_is_referred_to_by_its_identity_and_digest(tmp_path: Path) -> None:
    more = additions(tmp_path)
    first, second = more.vex
    assert (first.locator, second.locator) == (
        "https://example.org/vex/1",
        "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/2",
    )
    image = added("spdx", more)["packages"][0]
    assert [(one["referenceCategory"], one["referenceType"]) for one in image["externalRefs"]] == [
        ("SECURITY", "advisory"),
        ("OTHER", "vex"),
    ]
    assert str(Digest.of((tmp_path / "open.json").read_bytes())) in image["externalRefs"][0]["comment"]
    refs = added("cyclonedx", more)["externalReferences"]
    assert [(one["type"], one["url"]) for one in refs] == [
        ("exploitability-statement", first.locator),
        ("exploitability-statement", second.locator),
    ]
    assert refs[0]["hashes"] == [{"alg": "SHA-256", "content": first.digest.hex}]


def test_a_bill_with_additions_is_another_document_and_the_same_each_time(tmp_path: Path) -> None:
    more = additions(tmp_path)
    for form, key in (("spdx", "documentNamespace"), ("cyclonedx", "serialNumber")):
        names = {added(form, one)[key] for one in (more, replace(more, vex=()), replace(more, files=()))}
        assert len(names | {json.loads(FORMS[form](BILL))[key]}) == 4
        assert added(form, more) == added(form, more)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"{}", b'{"records": 1}', b"[1]", b"[[]]", b'[{"name": "a"}]', b"[" * 5000,
        json.dumps([{**GOOD, "status": "GOOD, and\nmore"}]).encode(),
        json.dumps([{**GOOD, "version": 1}]).encode(),
    ],
)  # fmt: skip
def test_a_list_of_another_form_is_refused_with_its_name(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(data)
    with pytest.raises(Malformed, match=r"list\.json"):
        read_rebuilds(file)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"@context": "https://openvex.dev/ns", "statements": []},
        {**OPENVEX, "@id": "no uri"},
        {**OPENVEX, "@id": "https://example.org/a b"},
        {**OPENVEX, "@context": "https://elsewhere.example"},
        {**CDX_VEX, "serialNumber": ""},
        {**CDX_VEX, "serialNumber": "urn:uuid:a\nb"},
        {key: value for key, value in CDX_VEX.items() if key != "vulnerabilities"},
    ],
)
def test_a_file_that_is_no_vex_document_or_has_no_identity_is_refused(document: object, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"vex\.json"):
        read_vex(written(tmp_path, "vex.json", document))


def test_a_bill_that_cosmos_did_not_write_is_refused() -> None:
    for form in FORMS:
        for document in (b"{}", b"[]", b'{"packages": [1], "components": [1], "metadata": {"component": 1}}'):
            with pytest.raises(Malformed, match="has a bill that cosmos did not write"):
                added_to(document, form, Additions(files=FILES), "out")
