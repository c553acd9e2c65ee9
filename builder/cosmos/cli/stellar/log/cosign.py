"""`stellar log cosign`: a witness signs the head of a log."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FILE, FOLDER, SECRET_KEY
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.log.options import home_option, pinned_roots
from cosmos.cli.terminal import say, surroundings
from cosmos.errors import Malformed
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.log import cosign_log


@click.command("cosign")
@click.argument("folder", type=FOLDER)
@click.option("--key", "key", type=SECRET_KEY, required=True, help="The witness's secret key.")
@click.option("--seen", type=FILE, required=True, metavar="FILE", help="The head that this witness saw last.")
@home_option
@passphrase_fd_option
@reporting_options
def cosign(folder: Path, key: Path, seen: Path, home: Path | None, passphrase_fd: int | None) -> None:
    """Witness the head of the log in FOLDER, if the log begins with all that this witness saw before."""
    (secret,) = load_secret_keys((key,), passphrase_fd)
    if secret.role != "witness":
        said = f"has the role {secret.role}; heads are cosigned by witnesses"
        hint = "make a key for it: cosmos key new NAME --role witness"
        raise Malformed(f"key {secret.public.name}", said, hint=hint)
    around = surroundings()
    roots, reporter = pinned_roots(home, folder), around.reporter(quiet=False)
    head = cosign_log(GalaxyFolder(root=folder), secret, roots, seen, int(around.now()), reporter)
    say(f"{folder}: cosigned {head.head.origin} at {head.head.size} entries")
