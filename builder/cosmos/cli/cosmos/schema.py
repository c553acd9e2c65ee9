"""`cosmos schema`: the JSON Schema of a document that people write, for an editor."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER
from cosmos.cli.schemas import DOCUMENTS, schema, write_schema
from cosmos.cli.terminal import emit, say
from cosmos.durable import make_folder


@click.command("schema")
@click.argument("name", type=click.Choice([*DOCUMENTS]), required=False)
@click.option("--out", type=FOLDER, help="Write all schemas into this folder instead.")
def schema_command(name: str | None, out: Path | None) -> None:
    """Print the JSON Schema of the document NAME; without NAME, list the documents.

    An editor (taplo, VS Code's Even Better TOML) completes and checks a file whose first line is
    `#:schema ./image.schema.json`. New files of `cosmos new` and `stellar new-star` have this line.
    """
    if name is not None and out is not None:
        raise click.UsageError("--out writes all schemas: leave NAME out")
    if out is not None:
        make_folder(out)
        for each in DOCUMENTS:
            say(str(write_schema(out, each)))
    elif name is not None:
        emit(schema(name))
    else:
        for each, document in DOCUMENTS.items():
            say(f"{each:14} {document.title}")
