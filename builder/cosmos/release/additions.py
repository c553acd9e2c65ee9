"""Read what an operator adds to a bill: the files of the release, lists of rebuilt packages, and VEX documents."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cosmos.content import pieces
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_FILE, Release
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader
from cosmos.reading import digest_of_size, read_bounded
from cosmos.sbom.additions import Additions, Document, ListedFile, Rebuilds, Vex, cyclonedx_with, spdx_with
from cosmos.treepath import TreePath
from cosmos.weighing import TooHeavy, demand_light_json

_FORMS: Final = {"spdx": spdx_with, "cyclonedx": cyclonedx_with}
_KEYS: Final = ("name", "version", "architecture", "status")
_STATUS: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_LOCATOR: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,1000}")  # a URI without spaces
_LISTS: Final = "give the file as reproduce.debian.net has it, in JSON"
_OPENVEX: Final = "https://openvex.dev/ns"


def added_to(bill: bytes, form: str, additions: Additions, source: str) -> bytes:
    """Return the bill with the additions. Raises `Malformed` if it is not of the form that cosmos writes."""
    document: Document = json.loads(bill)
    try:
        return _FORMS[form](document, additions)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise Malformed(source, f"has a bill that cosmos did not write: {error}") from error


def release_files(folder: Path) -> tuple[ListedFile, ...]:
    """Return the files of the release's image, sorted by path; the image is checked against RELEASE.json.

    Raises `Malformed` if the release has no layered image, and `Refused`.
    """
    source = str(folder / RELEASE_FILE)
    release = Release.parse(read_bounded(folder / RELEASE_FILE, MAX_RELEASE_BYTES), source)
    subject = next((one for one in release.subjects if one.name.endswith(IMAGE_SUFFIX)), None)
    if subject is None:
        raise Malformed(source, f"names no layered image (*{IMAGE_SUFFIX}), whose files could be listed")
    reader = ImageReader.open(folder / subject.name)
    digest = digest_of_size(folder / subject.name, subject.size_bytes)
    if digest != subject.digest:
        raise Refused(
            str(folder / subject.name), f"is {digest or 'of another size'}, but {RELEASE_FILE} names {subject.digest}"
        )
    return tuple(sorted(_files(reader), key=lambda one: one.path))


def _files(reader: ImageReader) -> Iterator[ListedFile]:
    layers = {row.line.path: layer.name for layer in reader.layers for row in layer.lines}
    seen: dict[TreePath, tuple[str, Digest]] = {}
    for entry in reader.entries():
        if entry.kind == "hardlink":
            sums = seen[TreePath(entry.target)]
        elif entry.kind == "file":
            sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
            for piece in pieces(entry.content):
                sha1.update(piece)
                sha256.update(piece)
            sums = seen[entry.path] = (sha1.hexdigest(), Digest.from_hex(sha256.hexdigest()))
        else:
            continue
        yield ListedFile(path=f"/{entry.path.text}", layer=layers[entry.path], sha1=sums[0], sha256=sums[1])


def read_rebuilds(file: Path) -> Rebuilds:
    """Return a list of rebuilt packages: a JSON list of objects with name, version, architecture and status.

    Rebuilderd's list is one, as reproduce.debian.net gives it; also if it stands under `records`. Other keys are left
    alone. Raises `Malformed`.
    """
    data = read_bounded(file, MAX_RELEASE_BYTES)
    document = _json(data, file)
    rows = document.get("records") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        said = "want a JSON list of packages, or an object with such a list under `records`"
        raise Malformed(str(file), said, hint=_LISTS)
    statuses = {}
    for place, row in enumerate(rows):
        values = [value for key in _KEYS if isinstance(row, dict) and isinstance(value := row.get(key), str)]
        if len(values) != len(_KEYS) or not _STATUS.fullmatch(values[-1]):
            said = f"[{place}]: want an object with {', '.join(_KEYS)}, all texts, status a word"
            raise Malformed(str(file), said, hint=_LISTS)
        name, version, arch, status = values
        statuses[name, version, arch] = status
    return Rebuilds(source=file.name, digest=Digest.of(data), statuses=statuses)


def read_vex(file: Path) -> Vex:
    """Return what a bill says of an OpenVEX or CycloneDX VEX document. Raises `Malformed` for another file."""
    data = read_bounded(file, MAX_DOCUMENT_BYTES)
    document = _json(data, file)
    form, locator = _vex_form(document) if isinstance(document, dict) else ("", "")
    if not form:
        said = "is no VEX document; expected OpenVEX (@context, statements) or CycloneDX (bomFormat, vulnerabilities)"
        raise Malformed(str(file), said, hint="convert a document of another form first")
    if not _LOCATOR.fullmatch(locator):
        key = "@id" if form == "OpenVEX" else "serialNumber"
        said = f"{key}: want a URI, by which a bill can refer to the document"
        raise Malformed(str(file), said, hint=f"give the document an identity of its own, such as urn:uuid:…, as {key}")
    return Vex(source=file.name, digest=Digest.of(data), form=form, locator=locator)


def _vex_form(document: dict[str, Any]) -> tuple[str, str]:
    """Return the form of a VEX document and its own identity; "" and "" for another document."""
    if str(document.get("@context", "")).startswith(_OPENVEX) and isinstance(document.get("statements"), list):
        return "OpenVEX", str(document.get("@id", ""))
    if document.get("bomFormat") == "CycloneDX" and isinstance(document.get("vulnerabilities"), list):
        # BOM-Link, https://cyclonedx.org/capabilities/bomlink/
        serial = str(document.get("serialNumber", "")).removeprefix("urn:uuid:")
        return "CycloneDX", f"urn:cdx:{serial}/{document.get('version', 1)}" if serial else ""
    return "", ""


def _json(data: bytes, file: Path) -> object:
    """Return a JSON document of somebody else, which may have keys and numbers that Cosmos never writes."""
    try:
        text = data.decode()
        demand_light_json(data, text)
        return json.loads(text)
    except TooHeavy as error:
        raise Malformed(str(file), str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Malformed(str(file), f"is not JSON: {error}") from error
