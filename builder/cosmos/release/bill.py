"""Read a bill of materials out of a release, checked against RELEASE.json."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_FILE, Release
from cosmos.reading import read_bounded
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.sbom.spdx import IMAGE, SPDX_FILE
from cosmos.tables import BadKey, Table

_FILES: Final = {"spdx": SPDX_FILE, "cyclonedx": CYCLONEDX_FILE}


def release_folder(place: Path) -> Path | None:
    """Return the folder of the release at `place` or in its `out/`; None for a folder without a release."""
    return next((one for one in (place, place / "out") if (one / RELEASE_FILE).is_file()), None)


def release_bill(place: Path, form: str) -> bytes | None:
    """Return the bill of the release at `place` or in its `out/`, in the form `spdx` or `cyclonedx`.

    Return None if `place` is no release. Raises `Malformed` if the release has no bill, or one that is
    not JSON, `Refused` if it is another one.
    """
    folder = release_folder(place)
    if folder is None:
        return None
    release = Release.parse(read_bounded(folder / RELEASE_FILE, MAX_RELEASE_BYTES), str(folder / RELEASE_FILE))
    file = folder / _FILES[form]
    stated = {subject.name: subject.digest for subject in release.subjects}.get(file.name)
    if stated is None or not file.is_file():
        raise Malformed(str(file), "is not there", hint="build the image again with this cosmos")
    data = read_bounded(file, MAX_RELEASE_BYTES)
    if Digest.of(data) != stated:
        raise Refused(str(file), f"is {Digest.of(data)}, but {RELEASE_FILE} names {stated}")
    table = Table.from_json(data, str(file), max_bytes=MAX_RELEASE_BYTES)
    try:
        (_demand_spdx if form == "spdx" else _demand_cyclonedx)(table)
    except BadKey as error:
        hint = "cosmos did not write this bill: get the release again from its maker"
        raise Malformed(str(file), error.problem, hint=hint) from error
    return data


def _demand_spdx(bill: Table) -> None:
    """Raise `BadKey` at the first place that is not as `cosmos.sbom.spdx` writes it, of all that is read of a bill."""
    _demand_strings(bill, "SPDXID", "name", "documentNamespace")
    made = bill.table("creationInfo")
    made.need("created", str)
    if not made.strings("creators"):
        made.fail("creators", "want at least one")
    packages = bill.tables("packages")
    for package in packages:
        _demand_strings(package, "SPDXID", "name", "versionInfo")
        for ref in package.tables("externalRefs"):
            ref.need("referenceLocator", str)
    if not any(package.value("SPDXID") == IMAGE for package in packages):
        bill.fail("packages", f"want one with the SPDXID {IMAGE}")
    bill.need("relationships", list)


def _demand_cyclonedx(bill: Table) -> None:
    """Raise `BadKey` at the first place that is not as `cosmos.sbom.cyclonedx` writes it, of all that is read."""
    bill.table("metadata").table("component").tables("components")
    bill.need("components", list)
    for component in bill.tables("components"):
        _demand_strings(component, "bom-ref", "name", "version")
        component.take("purl", str)
        component.tables("properties")
        component.tables("components")


def _demand_strings(table: Table, *keys: str) -> None:
    for key in keys:
        table.need(key, str)
