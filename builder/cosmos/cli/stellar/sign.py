"""`stellar sign`: signatures for statements, indexes and locks."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import EXISTING_PATH, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.stellar.options import keys_option
from cosmos.cli.stellar.publishing import demand_roles, fewer_option, indexed_row, say_that_it_waits, with_role
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.reporter import Reporter, counted
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.index_galaxy import Indexed, sign_galaxy
from cosmos.stellar.publishing import Fewer
from cosmos.stellar.signing import sign_files


@click.command("sign")
@click.argument("paths", type=EXISTING_PATH, nargs=-1, required=True)
@keys_option
@passphrase_fd_option
@fewer_option
@reporting_options
@json_option
def sign(
    paths: tuple[Path, ...], keys: tuple[Path, ...], passphrase_fd: int | None, fewer: Fewer, as_json: bool
) -> None:
    """Sign documents: statements of stars, a galaxy's index, a lock.

    Each PATH is a file or a galaxy's folder. In a galaxy, author keys sign every statement of its index, and galaxy
    keys sign the index. A waiting index is published when it has enough signatures. Signatures by other keys stay.
    """
    if not keys:
        raise Malformed(
            "sign",
            "want a key to sign with, got none",
            hint="add --key PATH; to make a key: cosmos key new NAME --role ROLE",
        )
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    folders = {
        path: _signed_galaxy(path, secrets, fewer, around.reporter(quiet=as_json)) for path in paths if path.is_dir()
    }
    done = sign_files([path for path in paths if not path.is_dir()], secrets)
    if as_json:
        rows: list[Json] = [indexed_row(one) for one in folders.values()]
        emit({"signed": [str(file) for file in done.files], "already": done.already, "galaxies": rows})
        return
    for file in done.files:
        say(f"{file}.dsse")
    for folder, one in folders.items():
        if one.signed or one.is_changed:
            say(f"{folder}: {counted(one.signed, 'signature')} added, seq {one.index.seq}")
        if one.missing:
            say_that_it_waits(one, folder)
    if done.already:
        around.terminal.note(f"{done.already} had these signatures already")


def _signed_galaxy(folder: Path, secrets: tuple[SecretKey, ...], fewer: Fewer, reporter: Reporter) -> Indexed:
    """Sign the documents of a galaxy that keys of these roles sign."""
    demand_roles(secrets)
    return sign_galaxy(
        GalaxyFolder(root=folder),
        authors=with_role(secrets, "author"),
        galaxies=with_role(secrets, "galaxy"),
        reporter=reporter,
        fewer=fewer,
    )
