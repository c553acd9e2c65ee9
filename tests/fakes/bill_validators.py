"""The opinion of the bills' own libraries. Their imports take seconds, so only what asks for an opinion pays them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def valid_spdx(file: Path) -> Any:
    """Return the document in `file` as spdx-tools reads it, after its validator found nothing."""
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    found = parse_file(str(file))
    assert [one.validation_message for one in validate_full_spdx_document(found, "SPDX-2.3")] == []
    return found


def cyclonedx_faults(text: str) -> object:
    """Return what CycloneDX's own strict schema finds in `text`: None if it is valid."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
