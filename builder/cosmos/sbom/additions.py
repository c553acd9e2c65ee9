"""What an operator may add to a finished bill: the files, who else rebuilt the packages, and where a VEX document is.

    files      SPDX: `files`, each contained in the package that brought it. CycloneDX: components of type `file` inside
               of the star, or of the image for its own files. SPDX demands the SHA-1 of each file beside SHA-256
    rebuilds   SPDX: an annotation of the package. CycloneDX: a property `cosmos:rebuilt`
    VEX        SPDX: an external reference of the image. CycloneDX: an external reference `exploitability-statement`

An added bill is another document than the release's own. So its name is made of all that it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from cosmos.canon import readable_json
from cosmos.digest import Digest
from cosmos.records import dataclass
from cosmos.sbom.spdx import IMAGE

Document: TypeAlias = dict[str, Any]  # a bill as JSON; its fields are those of sbom.spdx and sbom.cyclonedx
_STAR: Final = "SPDXRef-Star-"
_DEBIAN: Final = "pkg:deb/"
_ALL: Final = "all"  # the architecture of a Debian package that is for every machine


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedFile:
    """One file of an image. `layer` is the star's name and version, or another word for the image's own files."""

    path: str
    layer: str
    sha1: str
    sha256: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilds:
    """A list of what somebody else rebuilt: the status by package name, version and architecture."""

    source: str
    digest: Digest
    statuses: Mapping[tuple[str, str, str], str]

    def status(self, purl: str) -> str:
        """Return the status of a package of Debian by its package URL, "" if the list does not have it.

        >>> one = Rebuilds(source="l", digest=Digest.of(b""), statuses={("zlib1g", "1:1.2", "amd64"): "GOOD"})
        >>> one.status("pkg:deb/debian/zlib1g@1%3A1.2?arch=amd64&distro=debian-12")
        'GOOD'
        """
        parts = urlsplit(purl)
        name, _, version = parts.path.rpartition("/")[2].partition("@")
        (arch,) = parse_qs(parts.query).get("arch", [""])
        found = (self.statuses.get((unquote(name), unquote(version), one)) for one in (arch, _ALL))
        return next((status for status in found if status), "")

    def said(self, status: str) -> str:
        """Return the sentence part that stands in a bill."""
        return f"{status}, says {self.source} ({self.digest})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vex:
    """A document that says which vulnerabilities matter: its file's name and digest, its form and its own identity."""

    source: str
    digest: Digest
    form: str
    locator: str

    @property
    def said(self) -> str:
        """The sentence part that stands in a bill."""
        return f"{self.form} document {self.source} ({self.digest})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Additions:
    """All that is added to one bill."""

    files: tuple[ListedFile, ...] = ()
    rebuilds: tuple[Rebuilds, ...] = ()
    vex: tuple[Vex, ...] = ()


def spdx_with(document: Document, additions: Additions) -> bytes:
    """Return the SPDX document with the additions. It changes `document`."""
    packages = {row["SPDXID"]: row for row in document["packages"]}
    _spdx_files(document, packages, additions.files)
    when, who = document["creationInfo"]["created"], document["creationInfo"]["creators"][0]
    for package in packages.values():
        purls = [one["referenceLocator"] for one in package.get("externalRefs", ())]
        notes = [
            {"annotationDate": when, "annotationType": "OTHER", "annotator": who, "comment": f"rebuilt: {said}"}
            for said in _rebuilt(purls, additions.rebuilds)
        ]
        if notes:
            package["annotations"] = notes
    refs = [
        {
            # SPDX 2.3, F.2: an advisory is a URL; what has another identity is of no listed type
            **({"referenceCategory": "SECURITY", "referenceType": "advisory"}
               if one.locator.startswith(("https://", "http://")) else
               {"referenceCategory": "OTHER", "referenceType": "vex"}),
            "referenceLocator": one.locator,
            "comment": one.said,
        }
        for one in additions.vex
    ]  # fmt: skip
    if refs:
        packages[IMAGE]["externalRefs"] = refs
    document["documentNamespace"] = f"urn:cosmos:sbom:{Digest.of(readable_json(document))}"
    return readable_json(document)


def cyclonedx_with(document: Document, additions: Additions) -> bytes:
    """Return the CycloneDX document with the additions. It changes `document`."""
    image, components = document["metadata"]["component"], document["components"]
    stars = {f"{row['name']}-{row['version']}": row for row in components if row["bom-ref"] == f"star:{row['name']}"}
    for one in additions.files:
        hashes = [{"alg": "SHA-1", "content": one.sha1}, {"alg": "SHA-256", "content": one.sha256.hex}]
        row = {"type": "file", "name": one.path, "hashes": hashes}
        stars.get(one.layer, image).setdefault("components", []).append(row)
    for component in components:
        said = _rebuilt([component.get("purl", "")], additions.rebuilds)
        component.setdefault("properties", []).extend({"name": "cosmos:rebuilt", "value": one} for one in said)
        if not component["properties"]:
            del component["properties"]
    refs = [
        {
            "type": "exploitability-statement",
            "url": one.locator,
            "comment": one.said,
            "hashes": [{"alg": "SHA-256", "content": one.digest.hex}],
        }
        for one in additions.vex
    ]
    if refs:
        document["externalReferences"] = refs
    document["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, str(Digest.of(readable_json(document))))}"
    return readable_json(document)


def debian_purls(document: Document, form: str) -> list[str]:
    """Return the package URLs of Debian's packages in a bill of this form, each once."""
    rows = document["components" if form == "cyclonedx" else "packages"]
    found = {row.get("purl", "") for row in rows}
    found |= {one["referenceLocator"] for row in rows for one in row.get("externalRefs", ())}
    return sorted(purl for purl in found if purl.startswith(_DEBIAN))


def _rebuilt(purls: Iterable[str], rebuilds: Iterable[Rebuilds]) -> Iterator[str]:
    for purl in purls:
        if purl.startswith(_DEBIAN):
            yield from (one.said(status) for one in rebuilds if (status := one.status(purl)))


def _spdx_files(document: Document, packages: Mapping[str, Document], files: Iterable[ListedFile]) -> None:
    stars = {f"{row['name']}-{row['versionInfo']}": name for name, row in packages.items() if name.startswith(_STAR)}
    held: dict[str, list[str]] = {}
    rows = []
    for one in files:
        name = f"SPDXRef-File-{hashlib.sha256(one.path.encode()).hexdigest()}"
        owner = stars.get(one.layer, IMAGE)
        held.setdefault(owner, []).append(one.sha1)
        rows.append(
            {
                "SPDXID": name,
                "fileName": f".{one.path}",
                "checksums": [
                    {"algorithm": "SHA1", "checksumValue": one.sha1},
                    {"algorithm": "SHA256", "checksumValue": one.sha256.hex},
                ],
                "licenseConcluded": "NOASSERTION",
                "copyrightText": "NOASSERTION",
            }
        )
        relation = {"spdxElementId": owner, "relationshipType": "CONTAINS", "relatedSpdxElement": name}
        document["relationships"].append(relation)
    for owner, sums in held.items():
        # SPDX 2.3, 7.9.4: the SHA-1 of the files' SHA-1, in order, without separators
        code = hashlib.sha1("".join(sorted(sums)).encode(), usedforsecurity=False).hexdigest()
        packages[owner] |= {"filesAnalyzed": True, "packageVerificationCode": {"packageVerificationCodeValue": code}}
    if rows:
        document["files"] = rows
