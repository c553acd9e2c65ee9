"""The JSON Schemas of the TOML documents that people write, made from the code that reads them (`cli.recording`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.canon import Json, readable_json
from cosmos.cli.recording import Schema, schema_of
from cosmos.durable import write_durably
from cosmos.image.outputs.formats import read_output
from cosmos.model.constellation import Constellation
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.home_settings import HomeSettings
from cosmos.model.image import Image
from cosmos.model.settings import Settings
from cosmos.model.star import Recipe
from cosmos.model.template import Declarations
from cosmos.records import dataclass
from cosmos.stellar.ecosystems import RULES
from cosmos.tables import Table
from cosmos.trust.roots import TrustRoots

_LATEST: Final = str((1 << 63) - 1)  # the version of a trust.toml that may recover anything
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"  # the newest that editors' TOML plugins read


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document that people write. `inside`: the readers of tables that the first reader hands on.

    `samples`: see `schema_of`. `base`: a key that names another such document, which may state all but the `name`.
    """

    title: str
    read: Callable[[Table], object]
    inside: Mapping[str, Callable[[Table], object]] = field(default_factory=dict)
    samples: tuple[Mapping[str, str], ...] = ({},)
    base: str = ""


DOCUMENTS: Final[Mapping[str, Document]] = {
    "image": Document(
        title="image.toml: an image definition", read=Image.read, inside={"output": read_output}, base="extends"
    ),
    "star": Document(
        title="star.toml: a star's recipe",
        read=lambda table: Recipe.read(table, RULES),
        samples=tuple({"source": f"{scheme}:a"} for scheme in RULES),
    ),
    "template": Document(title="template.toml: the declarations of a template", read=Declarations.read),
    "constellation": Document(title="a constellation", read=Constellation.read),
    "config": Document(title="/etc/cosmos/config.toml: the settings of a system", read=Settings.read),
    "trust": Document(
        title="trust.toml: the keys that an operator pins",
        read=TrustRoots.read,
        samples=({"version": _LATEST}, {"version": _LATEST, "trust-version": "2"}),
    ),
    "meta": Document(title="meta.toml: the index of a galaxy", read=GalaxyIndex.read, samples=({}, {"format": "2"})),
    "home": Document(title="HOME/config.toml: the settings of a builder's home", read=HomeSettings.read),
}
_NEW_FILES: Final = {"image.toml": "image", "template.toml": "template", "star.toml": "star"}


def schema(name: str) -> Schema:
    """Return the schema of the documents called `name`."""
    document = DOCUMENTS[name]
    found = schema_of(document.read, document.samples)
    rows = found["properties"]
    for key, read in document.inside.items():
        items: Json = schema_of(read)
        rows = {**rows, key: {"type": "array", "items": items}} if isinstance(rows, dict) else rows
    if document.base and isinstance(rows, dict):
        rows = {**rows, document.base: {"type": "string"}}
        whole: Json = {"required": found.pop("required", [])}
        found |= {"if": {"required": [document.base]}, "then": {"required": ["name"]}, "else": whole}
    return {"$schema": _DRAFT, "title": document.title, **found, "properties": rows}


def file_name(name: str) -> str:
    """Return the name of a schema's file.

    >>> file_name("image")
    'image.schema.json'
    """
    return f"{name}.schema.json"


def write_schema(folder: Path, name: str) -> Path:
    """Write a schema into `folder`, where new files refer to it by their first line, and return its file."""
    file = folder / file_name(name)
    write_durably(file, readable_json(schema(name)))
    return file


def with_schemas(files: Iterable[Path], folder: Path) -> tuple[Path, ...]:
    """Let the first line of each new document in `files` name its schema, which is written into `folder`, above it.

    Return `files`, and the schemas.
    """
    written: dict[str, Path] = {}
    for file in (files := tuple(files)):
        if (name := _NEW_FILES.get(file.name)) is not None:
            written[name] = write_schema(folder, name)
            up = "../" * len(file.parent.relative_to(folder).parts) or "./"
            write_durably(file, f"#:schema {up}{file_name(name)}\n".encode() + file.read_bytes())
    return (*files, *written.values())
