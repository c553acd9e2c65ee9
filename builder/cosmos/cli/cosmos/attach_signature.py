"""`cosmos attach-signature`: add a signature from another machine to a release."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, FOLDER, RELEASE, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.release.attach import attach_signature


@click.command("attach-signature")
@click.argument("out", type=RELEASE)
@click.argument("signature", type=EXISTING_FILE)
@click.option("--home", type=FOLDER, envvar="COSMOS_HOME")
@json_option
def attach(out: Path, signature: Path, home: Path | None, as_json: bool) -> None:
    """Add a SIGNATURE from another machine to the release in OUT. The result is the same as signing here."""
    done = attach_signature(out, signature)
    around = surroundings()
    anchor = home_anchor(around.home(home, near=out))
    if anchor.exists() and done.key.raw not in {key.raw for key in load_trust(anchor).roots.keys("release")}:
        around.terminal.warn(f"{done.key.name}: is not one of the release keys that are pinned here")
    if as_json:
        emit({"folder": str(done.folder), "key": done.key.id, "signatures": done.signatures})
        return
    say(f"{done.folder}: signed by {done.key.name}")
