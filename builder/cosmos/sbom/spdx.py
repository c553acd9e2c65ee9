"""`sbom.spdx.json`: the bill as SPDX 2.3 in JSON (https://spdx.github.io/spdx-spec/v2.3/).

The Debian release of the packages is a package as well, with an id that begins as Trivy's own does: without it, Trivy
matches no advisory. The image's purpose is CONTAINER, so that no scanner takes the image for the distribution. The
document's time is the image's epoch, and its namespace is made of the content root: the same image has the same bytes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from cosmos.canon import Json, readable_json
from cosmos.digest import Digest
from cosmos.model.star import Origin
from cosmos.sbom.bill import Bill, Component, star_purl

SPDX_FILE: Final = "sbom.spdx.json"
_UNKNOWN: Final = "NOASSERTION"
IMAGE: Final = "SPDXRef-Image"
_SYSTEM: Final = "SPDXRef-OperatingSystem"
_ID: Final = re.compile(r"[^A-Za-z0-9.-]")
_REFERENCE: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


def spdx(bill: Bill) -> bytes:
    """Return the document."""
    packages: list[Json] = [_image(bill)]
    relations: list[Json] = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)]
    if bill.distro:
        packages.append(_system(bill.distro))
        relations.append(_relation(IMAGE, "CONTAINS", _SYSTEM))
    for component in bill.components:
        star = _star_id(component.name)
        packages.append(_star(component))
        relations.append(_relation(IMAGE, "CONTAINS", star))
        relations += [_relation(star, "DEPENDS_ON", _star_id(name)) for name in component.dependencies]
        for origin in component.origins:
            packages.append(_origin(bill, component, origin))
            relations.append(_relation(star, "GENERATED_FROM", _origin_id(component, origin)))
    references = sorted({name for one in bill.components for name in _REFERENCE.findall(one.expression)})
    return readable_json(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"{bill.name}-{bill.version}",
            "documentNamespace": f"urn:cosmos:sbom:{bill.identity}",
            "creationInfo": {
                "created": datetime.fromtimestamp(bill.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "creators": [f"Tool: cosmos-{bill.cosmos}"],
                **({"comment": bill.comment} if bill.comment else {}),
            },
            "packages": packages,
            "relationships": relations,
            **({"hasExtractedLicensingInfos": [_reference(name) for name in references]} if references else {}),
        }
    )


def _image(bill: Bill) -> Json:
    return {
        "SPDXID": IMAGE,
        "name": bill.name,
        "versionInfo": bill.version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "primaryPackagePurpose": "CONTAINER",
        **(
            {"comment": f"content root {bill.root}: the digest of manifest.txt, which lists every file"}
            if bill.root
            else {}
        ),
    }


def _system(distro: str) -> Json:
    """Return the distribution that the packages are of."""
    name, _, version = distro.partition("-")
    return {
        "SPDXID": _SYSTEM,
        "name": name,
        "versionInfo": version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    }


def _star(component: Component) -> Json:
    checksums: list[Json] = []
    if component.archive is not None:
        checksums.append({"algorithm": "SHA256", "checksumValue": component.archive.hex})
    said = f"licence as its author wrote it: {component.license}" if component.license else ""
    return {
        "SPDXID": _star_id(component.name),
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": component.expression or _UNKNOWN,
        "copyrightText": _UNKNOWN,
        **({"licenseComments": said} if said and not component.expression else {}),
        **({"summary": component.description} if component.description else {}),
        **({"checksums": checksums} if checksums else {}),
        **({"sourceInfo": f"from galaxy {component.galaxy}{_signed(component)}"} if component.galaxy else {}),
        "externalRefs": [_purl(star_purl(component.name, component.version))],
    }


def _origin(bill: Bill, component: Component, origin: Origin) -> Json:
    purl = bill.purl(component, origin)
    return {
        "SPDXID": _origin_id(component, origin),
        "name": origin.name,
        "versionInfo": origin.version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "checksums": [{"algorithm": "SHA256", "checksumValue": origin.digest.hex}],
        **({"externalRefs": [_purl(purl)]} if purl else {}),
    }


def _signed(component: Component) -> str:
    if component.signers is None:
        return ""
    return f", signed by {', '.join(component.signers)}" if component.signers else ", signed by nobody"


def _purl(purl: str) -> Json:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}


def _reference(name: str) -> Json:
    text = "The text lies in the star's own files, below usr/share/doc or usr/share/licenses."
    return {"licenseId": name, "extractedText": text}


def _relation(one: str, kind: str, other: str) -> Json:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _star_id(name: str) -> str:
    return f"SPDXRef-Star-{_plain(name)}"


def _origin_id(component: Component, origin: Origin) -> str:
    return f"SPDXRef-Origin-{_plain(component.name)}-{_plain(origin.name)}-{origin.digest.short}"


def _plain(name: str) -> str:
    """Return `name` in the letters of an SPDX id, different for different names."""
    plain = _ID.sub("-", name)
    return plain if plain == name else f"{plain}-{Digest.of(name.encode()).short}"
