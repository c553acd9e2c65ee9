"""A bill of materials is one that the forms' own validators accept, and is the same at each build."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packageurl import PackageURL

from cosmos.digest import Digest
from cosmos.model.star import Origin
from cosmos.sbom.bill import Bill, Component
from cosmos.sbom.cyclonedx import cyclonedx
from cosmos.sbom.spdx import spdx
from fakes.bill_validators import cyclonedx_faults, valid_spdx


def component(name: str, **fields: object) -> Component:
    return Component(
        **{
            "name": name,
            "version": "1.2.0",
            "arch": "x86_64",
            "license": "MIT",
            "description": "",
            "archive": Digest.of(name.encode()),
            "galaxy": "core",
            "signers": ("ed25519:" + "0" * 64,),
            "dependencies": (),
            "origins": (),
            **fields,
        }
    )


def deb(name: str, version: str) -> Origin:
    return Origin(ecosystem="deb", name=name, version=version, digest=Digest.of(version.encode()))


ODD = component(
    "lib_odd+x",
    version="1:2.0~rc1-1",
    license="the usual one",
    origins=(
        deb("libodd++", "1:2.0~rc1-1+deb12u3"),
        Origin(ecosystem="tar", name="odd", version="2", digest=Digest.of(b"t")),
    ),
    signers=(),
)
OWN = component("own", license="LicenseRef-Own AND (MIT OR Zlib)", dependencies=("lib_odd+x", "zlib"))
BILL = Bill(
    name="rescue",
    version="1.0.0",
    root=Digest.of(b"root"),
    epoch=1_700_000_000,
    cosmos="0.1.0",
    components=(ODD, component("zlib", license="Zlib", origins=(deb("zlib1g", "1:1.2.13.dfsg-1"),)), OWN),
)
UNKNOWN = replace(
    BILL,
    root=None,
    components=tuple(replace(one, license="", archive=None, galaxy="", signers=None) for one in BILL.components),
    comment="a system records no licences",
)


def components(bill: Bill, prefix: str) -> list[dict[str, object]]:
    """The components of the CycloneDX document whose references begin so."""
    return [one for one in json.loads(cyclonedx(bill))["components"] if one["bom-ref"].startswith(prefix)]


@pytest.mark.parametrize("bill", [BILL, UNKNOWN, replace(BILL, components=())], ids=["full", "unknown", "empty"])
def test_spdx_s_own_validator_accepts_it(bill: Bill, tmp_path: Path) -> None:
    file = tmp_path / "sbom.spdx.json"
    file.write_bytes(spdx(bill))
    found = valid_spdx(file)
    assert found.creation_info.created.isoformat() == "2023-11-14T22:13:20"


@pytest.mark.parametrize("bill", [BILL, UNKNOWN, replace(BILL, components=())], ids=["full", "unknown", "empty"])
def test_cyclonedx_s_own_schema_accepts_it(bill: Bill) -> None:
    assert cyclonedx_faults(cyclonedx(bill).decode()) is None


def test_the_packages_of_debian_have_the_urls_that_scanners_match() -> None:
    urls = {
        ref["referenceLocator"]
        for package in json.loads(spdx(BILL))["packages"]
        for ref in package.get("externalRefs", [])
    }
    assert urls == {
        "pkg:deb/debian/libodd%2B%2B@1%3A2.0~rc1-1%2Bdeb12u3?arch=amd64&distro=debian-12",
        "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64&distro=debian-12",
        "pkg:generic/lib_odd%2Bx@1%3A2.0~rc1-1",
        "pkg:generic/own@1.2.0",
        "pkg:generic/zlib@1.2.0",
    }
    parsed = PackageURL.from_string(next(url for url in urls if "libodd" in url))
    assert (parsed.namespace, parsed.name, parsed.version) == ("debian", "libodd++", "1:2.0~rc1-1+deb12u3")
    beside = json.loads(cyclonedx(BILL))["components"]
    assert {one["purl"] for one in beside if "purl" in one} == urls


def test_a_mixture_of_two_releases_of_debian_names_none() -> None:
    both = replace(BILL, components=(ODD, component("new", origins=(deb("new", "1.0-1~deb13u1"),))))
    assert (BILL.distro, both.distro, replace(BILL, components=()).distro) == ("debian-12", "", "")


def test_what_depends_on_what_and_what_it_was_made_of_is_said() -> None:
    document = json.loads(spdx(BILL))
    said = {
        (one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"]) for one in document["relationships"]
    }
    ids = {package["name"]: package["SPDXID"] for package in document["packages"] if "Star" in package["SPDXID"]}
    assert ("SPDXRef-Image", "CONTAINS", ids["zlib"]) in said
    assert (ids["own"], "DEPENDS_ON", ids["zlib"]) in said
    assert (ids["own"], "DEPENDS_ON", ids["lib_odd+x"]) in said
    assert sum(kind == "GENERATED_FROM" for _, kind, _ in said) == 3
    depends = {one["ref"]: one["dependsOn"] for one in json.loads(cyclonedx(BILL))["dependencies"]}
    assert depends["star:own"] == ["star:lib_odd+x", "star:zlib"]
    assert depends["star:zlib"] == ["star:zlib/deb:zlib1g@1:1.2.13.dfsg-1"]
    assert depends["image:rescue"] == ["star:lib_odd+x", "star:own", "star:zlib", "system"]


def test_scanners_are_told_which_debian_the_packages_are_of_and_do_not_take_the_image_for_a_distribution() -> None:
    """Trivy matches advisories by a component of type operating-system, and looks for no package inside of another."""
    document = json.loads(cyclonedx(BILL))
    assert document["metadata"]["component"]["type"] == "container"
    (system,) = [one for one in document["components"] if one["type"] == "operating-system"]
    assert (system["name"], system["version"]) == ("debian", "12")
    assert not any("components" in one for one in document["components"])
    packages = json.loads(spdx(BILL))["packages"]
    (system,) = [one for one in packages if one.get("primaryPackagePurpose") == "OPERATING-SYSTEM"]
    assert (system["SPDXID"], system["name"], system["versionInfo"]) == ("SPDXRef-OperatingSystem", "debian", "12")
    unknown = replace(BILL, components=(component("zlib"),))
    assert not [one for one in json.loads(cyclonedx(unknown))["components"] if one["type"] == "operating-system"]
    assert not [one for one in json.loads(spdx(unknown))["packages"] if one["name"] == "debian"]


def test_a_licence_that_is_no_expression_is_kept_as_its_author_wrote_it() -> None:
    (package,) = [one for one in json.loads(spdx(BILL))["packages"] if one["name"] == "lib_odd+x"]
    assert package["licenseDeclared"] == "NOASSERTION"
    assert package["licenseComments"] == "licence as its author wrote it: the usual one"
    licences = {one["name"]: one.get("licenses") for one in components(BILL, "star:")}
    assert licences["lib_odd+x"] == [{"license": {"name": "the usual one"}}]
    assert licences["own"] == [{"expression": "LicenseRef-Own AND (MIT OR Zlib)"}]


def test_names_that_look_alike_have_different_ids() -> None:
    two = replace(BILL, components=(component("a+b"), component("a_b"), component("a-b")))
    ids = [package["SPDXID"] for package in json.loads(spdx(two))["packages"]]
    assert len(set(ids)) == 4


def test_the_same_image_has_the_same_bill_and_another_image_another_identity() -> None:
    other = replace(BILL, root=Digest.of(b"other"))
    for form, key in ((spdx, "documentNamespace"), (cyclonedx, "serialNumber")):
        assert form(BILL) == form(replace(BILL))
        assert json.loads(form(BILL))[key] != json.loads(form(other))[key]
