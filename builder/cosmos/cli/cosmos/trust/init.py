"""`cosmos trust init`: accept the first trust anchors of a home or a system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from cosmos.cli.cosmos.trust.places import places_to_change, root_here
from cosmos.cli.options import FILE, FOLDER, json_option
from cosmos.cli.terminal import emit, say
from cosmos.cli.trust_rows import anchor_row, say_keys
from cosmos.digest import Digest
from cosmos.durable import make_folder
from cosmos.errors import Malformed, quoted
from cosmos.keyring.anchors import accept_trust, document_and_envelope


@click.command("init")
@click.argument("file", type=FILE)
@click.option(
    "--sha256", "wanted", metavar="HEX", help="The file's SHA-256, from its maker, by another way than the file."
)
@click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="Accept it for this builder's home.")
@click.option("--root", type=FOLDER, callback=root_here, help="Accept it for the system at this root.")
@json_option
def trust_init(file: Path, wanted: str | None, home: Path | None, root: Path | None, as_json: bool) -> None:
    """Accept FILE as the first trust anchors, if its SHA-256 is the one that you were given."""
    if wanted is None:
        _show_how_to_compare(file)
    digest = _digest(wanted)
    if root is not None:
        make_folder(root)  # anchors may come before anything else of the system
    with places_to_change(home, root) as (path, state):
        anchor = accept_trust(file, digest, path)
        state.change(lambda memory: replace(memory, trust=(anchor.roots.version, anchor.digest)))
    if as_json:
        emit({**anchor_row(anchor), "new": anchor.is_new})
        return
    say(f"{'accepted' if anchor.is_new else 'accepted before'}: {anchor.path}, version {anchor.roots.version}")
    say_keys(anchor.roots)


def _digest(text: str) -> Digest:
    try:
        return Digest.from_hex(text.lower().removeprefix("sha256:"))
    except ValueError as error:
        raise Malformed("--sha256", str(error)) from error


def _show_how_to_compare(file: Path) -> NoReturn:
    digest = Digest.of(document_and_envelope(file)[0])
    say(f"{digest.hex}  {file}")
    raise Malformed(
        str(file),
        "want its SHA-256, got none: cosmos has no trust on first use",
        hint="get the digest from the file's maker by another way (a call, paper, a signed letter), and compare it "
        f"with the digest above; if they are the same: cosmos trust init {quoted(file)} --sha256 HEX",
    )
