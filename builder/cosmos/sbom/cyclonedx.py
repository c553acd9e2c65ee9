"""`sbom.cdx.json`: the bill as CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json/).

A star is a component, and the packages that it was made of are its components. Its time is the image's epoch, and its
serial number is made of the content root: the same image has the same bytes.
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
    rows: list[Json] = [_needs(image, [component.name for component in bill.components])]
    rows += [_needs(_ref(component.name), component.dependencies) for component in bill.components]
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
                    "type": "operating-system",
                    "name": bill.name,
                    "version": bill.version,
                    **({"properties": [_property("content-root", str(bill.root))]} if bill.root else {}),
                },
                **({"properties": [_property("comment", bill.comment)]} if bill.comment else {}),
            },
            "components": [_star(bill, component) for component in bill.components],
            "dependencies": rows,
        }
    )


def _star(bill: Bill, component: Component) -> Json:
    properties = [_property("galaxy", component.galaxy)] if component.galaxy else []
    properties += [_property("signer", signer) for signer in component.signers or ()]
    return {
        "bom-ref": _ref(component.name),
        "type": "library",
        "name": component.name,
        "version": component.version,
        "purl": star_purl(component),
        **({"description": component.description} if component.description else {}),
        **({"licenses": [_licence(component)]} if component.license else {}),
        **({"hashes": [_sha256(component.archive)]} if component.archive is not None else {}),
        **({"properties": properties} if properties else {}),
        **({"components": [_origin(bill, component, one) for one in component.origins]} if component.origins else {}),
    }


def _origin(bill: Bill, component: Component, origin: Origin) -> Json:
    purl = bill.purl(component, origin)
    return {
        "bom-ref": f"{_ref(component.name)}/{origin.ecosystem}:{origin.name}@{origin.version}",
        "type": "library",
        "name": origin.name,
        "version": origin.version,
        "hashes": [_sha256(origin.digest)],
        **({"purl": purl} if purl else {}),
    }


def _needs(ref: str, names: Iterable[str]) -> Json:
    return {"ref": ref, "dependsOn": [_ref(name) for name in sorted(names)]}


def _licence(component: Component) -> Json:
    return {"expression": component.expression} if component.expression else {"license": {"name": component.license}}


def _sha256(digest: Digest) -> Json:
    return {"alg": "SHA-256", "content": digest.hex}


def _property(name: str, value: str) -> Json:
    return {"name": f"cosmos:{name}", "value": value}


def _ref(name: str) -> str:
    return f"star:{name}"
