"""`sbom.cdx.json`: the bill as CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json/).

A star is a component, and depends on the packages that it was made of: these are components beside it, because
scanners do not look for packages inside of others. The Debian release of the packages is a component of type
`operating-system`, without which Trivy matches no advisory. The image itself is a `container` for the same reason: as
an `operating-system`, it would be taken for the distribution. The document's time is the image's epoch, and its serial
number is made of the content root: the same image has the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cosmos.canon import Json, readable_json
from cosmos.digest import Digest
from cosmos.model.star import Origin
from cosmos.sbom.bill import Bill, Component, star_purl

CYCLONEDX_FILE: Final = "sbom.cdx.json"


def cyclonedx(bill: Bill) -> bytes:
    """Return the document."""
    serial = uuid5(NAMESPACE_URL, f"urn:cosmos:sbom:{bill.identity}")
    image = f"image:{bill.name}"
    system = _system(bill)
    stars = [star_ref(component.name) for component in bill.components]
    rows: list[Json] = [_needs(image, [*stars, *(["system"] if system else [])])]
    for component in bill.components:
        origins = [_origin_ref(component, origin) for origin in component.origins]
        rows.append(_needs(star_ref(component.name), [*map(star_ref, component.dependencies), *origins]))
    return readable_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{serial}",
            "version": 1,
            "metadata": {
                "timestamp": datetime.fromtimestamp(bill.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "tools": {"components": [{"type": "application", "name": "cosmos", "version": bill.cosmos}]},
                "component": {
                    "bom-ref": image,
                    "type": "container",
                    "name": bill.name,
                    "version": bill.version,
                    **({"properties": [_property("content-root", str(bill.root))]} if bill.root else {}),
                },
                **({"properties": [_property("comment", bill.comment)]} if bill.comment else {}),
            },
            "components": [
                *system,
                *(_star(component) for component in bill.components),
                *(_origin(bill, one, origin) for one in bill.components for origin in one.origins),
            ],
            "dependencies": rows,
        }
    )


def _system(bill: Bill) -> list[Json]:
    """Return the component of the distribution that the packages are of, if it is known."""
    name, _, version = bill.distro.partition("-")
    return [{"bom-ref": "system", "type": "operating-system", "name": name, "version": version}] if name else []


def _star(component: Component) -> Json:
    properties = [_property("galaxy", component.galaxy)] if component.galaxy else []
    properties += [_property("signer", signer) for signer in component.signers or ()]
    return {
        "bom-ref": star_ref(component.name),
        "type": "library",
        "name": component.name,
        "version": component.version,
        "purl": star_purl(component.name, component.version),
        **({"description": component.description} if component.description else {}),
        **({"licenses": [_licence(component)]} if component.license else {}),
        **({"hashes": [_sha256(component.archive)]} if component.archive is not None else {}),
        **({"properties": properties} if properties else {}),
    }


def _origin(bill: Bill, component: Component, origin: Origin) -> Json:
    purl = bill.purl(component, origin)
    return {
        "bom-ref": _origin_ref(component, origin),
        "type": "library",
        "name": origin.name,
        "version": origin.version,
        "hashes": [_sha256(origin.digest)],
        **({"purl": purl} if purl else {}),
    }


def _needs(ref: str, others: Iterable[str]) -> Json:
    return {"ref": ref, "dependsOn": [*sorted(others)]}


def _licence(component: Component) -> Json:
    return {"expression": component.expression} if component.expression else {"license": {"name": component.license}}


def _sha256(digest: Digest) -> Json:
    return {"alg": "SHA-256", "content": digest.hex}


def _property(name: str, value: str) -> Json:
    return {"name": f"cosmos:{name}", "value": value}


def star_ref(name: str) -> str:
    """Return the `bom-ref` of a star."""
    return f"star:{name}"


def _origin_ref(component: Component, origin: Origin) -> str:
    return f"{star_ref(component.name)}/{origin.ecosystem}:{origin.name}@{origin.version}"
