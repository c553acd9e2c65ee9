"""The licences of a release's stars, as its bill of materials (sbom.cdx.json) states them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.reading import read_bounded
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE, star_ref
from cosmos.tables import Table


def licences_of(release: Path) -> Mapping[str, str]:
    """Return the licence of each star by name, "" if its author stated none. Raises `Malformed`.

    A release of an older cosmos has no bill: then nothing is known.
    """
    file = release / CYCLONEDX_FILE
    if not file.is_file():
        return {}
    table = Table.from_json(read_bounded(file, MAX_RELEASE_BYTES), str(file), max_bytes=MAX_RELEASE_BYTES)
    return {
        row.need("name", str): _licence(row)
        for row in table.tables("components")
        if row.need("bom-ref", str) == star_ref(row.need("name", str))
    }


def _licence(component: Table) -> str:
    stated = []
    for one in component.tables("licenses"):
        expression = one.take("expression", str, "")
        stated.append(expression or one.table("license").need("name", str))
    return ", ".join(stated)
