"""Whether a definition can be built at all, whatever its lock says: its outputs, its files and its template.

A freeze asks this before it resolves anything, and a build before any work. No other part of a build is imported.
"""

from __future__ import annotations

from collections.abc import Mapping

from cosmos.image.definition import Definition
from cosmos.image.outputs.formats import demand_own_names
from cosmos.image.packed_definition import packed_definition
from cosmos.image.template import RenderedTemplate, render_template
from cosmos.model.lock import LOCK_FILE
from cosmos.model.receipts import RECEIPTS_FILE
from cosmos.model.release import (
    BINARY_FILE,
    DEFINITION_FILE,
    MANIFEST_FILE,
    RELEASE_ENVELOPE,
    RELEASE_FILE,
    REPORT_FILE,
)
from cosmos.nova.templating.secret import Secret
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.sbom.spdx import SPDX_FILE
from cosmos.trust.signing_request import REQUEST_FILE

_FIXED_NAMES = (
    *(RELEASE_FILE, RELEASE_ENVELOPE, REQUEST_FILE, MANIFEST_FILE, RECEIPTS_FILE, LOCK_FILE, BINARY_FILE),
    *(DEFINITION_FILE, SPDX_FILE, CYCLONEDX_FILE, REPORT_FILE),
)


def demand_sound(definition: Definition, secrets: Mapping[str, Secret]) -> RenderedTemplate:
    """Return the rendered template of a definition that can be built with `secrets`. Raises `Malformed`."""
    demand_own_names(definition.outputs, definition.image, (*_FIXED_NAMES, definition.lock_envelope.name))
    packed_definition(definition)  # the release carries it, so that others can rebuild it
    return render_template(definition.template, definition.image, source=str(definition.file), secrets=secrets)
