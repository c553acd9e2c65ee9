"""`cosmos vendor`: put everything that a build of an image needs into one folder."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import accept_revoked_option, home_option, origin_option
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import EXISTING_PATH, FOLDER, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say
from cosmos.errors import quoted
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.image.vendored_definition import read_definition_from
from cosmos.image.vendoring import VendoredFolder, vendor_image, vendor_lock
from cosmos.model.reporter import counted


@click.command()
@click.argument("source", type=EXISTING_PATH, metavar="IMAGE|LOCK")
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("--offline", is_flag=True, help="Open no galaxy; use what the store holds.")
@origin_option
@accept_revoked_option
@home_option
@reporting_options
@json_option
def vendor(
    source: Path,
    folder: Path,
    offline: bool,
    origin: Path | None,
    accept_revoked: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Put everything that a build of IMAGE needs into the folder DIR, verified, for a stick.

    DIR/galaxies has the locked stars and the signed indexes, DIR/image the definition and the lock, DIR/trust the keys.
    `cosmos build DIR/image --from DIR` builds on a machine that has nothing else. A LOCK alone is vendored, too.
    """
    world = world_at(home, source, offline=offline, quiet=as_json, origin=origin)
    accept = frozenset(accept_revoked)
    if source.is_dir() or source.name == IMAGE_FILE:
        done = vendor_image(read_definition_from(source, origin, world.reporter), world, folder, accept)
    else:
        done = vendor_lock(source, world, folder, accept)
    if as_json:
        emit(
            {
                "folder": str(done.folder),
                "changed": done.changed,
                "stars": len(done.lock.stars),
                "size-bytes": done.size_bytes,
                "list": str(done.digest),
                "trust": None if done.trust is None else str(done.trust),
                "image": done.vendored.image,
                "lock": done.vendored.lock,
                "not-carried": list(done.vendored.not_carried),
            }
        )
        return
    _say(done)


def _say(done: VendoredFolder) -> None:
    folder, vendored = done.folder, done.vendored
    say(
        f"{'vendored' if done.changed else 'unchanged'} {folder}: {counted(len(done.lock.stars), 'star')}, "
        f"{counted(len(vendored.files), 'file')}, {done.size_bytes:,} bytes"
    )
    for sentence in vendored.not_carried:
        say(f"not carried   {sentence}")
    say(f"its list      {done.digest}")
    if done.trust is not None:
        say(f"its keys      {done.trust}")
        say(f"next, there: cosmos trust init {quoted(f'{folder}/trust/trust.toml')} --sha256 {done.trust}")
    if vendored.image is not None:
        say(f"next, there: cosmos build {quoted(f'{folder}/{vendored.image}')} --from {quoted(folder)} --out OUT")
