"""The image definition in a vendored folder: read only as the folder lists it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.image.definition import Definition, read_definition
from cosmos.image.given_values import NOTHING_GIVEN, GivenValues
from cosmos.image.packed_definition import packed_definition
from cosmos.image.template_folder import TEMPLATES_FOLDER
from cosmos.model.reporter import Reporter
from cosmos.model.vendored import VENDORED_FILE
from cosmos.staging.vendored import demand_as_listed, is_vendored, read_vendored, vendored_digest

DEFINITION_FOLDERS: Final = ("image", TEMPLATES_FOLDER, "up")  # the top folders of image.packed_definition


def read_definition_from(
    path: Path, origin: Path | None, reporter: Reporter, given: GivenValues = NOTHING_GIVEN
) -> Definition:
    """Return the image at `path`, as `read_definition` does; in a vendored `origin`, only as that lists it.

    Nobody signs the list. So its digest is told: whoever wrote the folder can have changed both.

    Raises `Refused` for a file of the folder's image that is not as listed, `WorldFailed` for a missing one. A
    definition elsewhere passes: it is the operator's own.
    """
    vendored = read_vendored(origin) if origin is not None and is_vendored(origin) else None
    folder = path if path.is_dir() else path.parent
    if origin is None or vendored is None or vendored.image is None:
        return read_definition(path, given)
    if folder.resolve() != (origin / vendored.image).resolve():
        return read_definition(path, given)
    own = (*(f"{name}/" for name in DEFINITION_FOLDERS), vendored.lock)
    demand_as_listed(origin, [one for one in vendored.files if one.startswith(own)], vendored)
    definition = read_definition(path)
    if packed_digest(definition) != vendored.definition:
        raise Refused(
            str(definition.file),
            f"its template or a file that it names is not as {VENDORED_FILE} lists it: added, or another link or mode",
            hint="vendor again, or copy the image out of the folder and name your copy",
        )
    digest = vendored_digest(origin)
    reporter.note(f"nobody signed the image definition: compare {VENDORED_FILE} with what cosmos vendor said: {digest}")
    return read_definition(path, given) if given else definition


def packed_digest(definition: Definition) -> Digest:
    """Return the digest of the definition as a release carries it: its files, their modes, and its links."""
    return Digest.of(b"".join(map(bytes, packed_definition(definition))))
