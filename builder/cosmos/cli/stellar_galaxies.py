"""`stellar galaxy-init`, `index-galaxy` and `sign`."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar_options import FOLDER, json_option, keys_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import GalaxyName
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import Indexed, index_galaxy
from cosmos.stellar.signing import sign_files

_PATH = click.Path(exists=True, path_type=Path)


@click.command("galaxy-init")
@click.argument("folder", type=FOLDER)
@click.option("--name", metavar="NAME", help="The galaxy's name [default: the folder's].")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@json_option
def galaxy_init(folder: Path, name: str | None, description: str, as_json: bool) -> None:
    """Begin an empty galaxy in FOLDER."""
    around = surroundings()
    try:
        galaxy_name = GalaxyName.parse(name if name is not None else folder.resolve().name)
    except ValueError as error:
        raise Malformed("the galaxy's name", str(error)) from error
    galaxy = init_galaxy(folder, galaxy_name, description, _today(around.now()))
    if as_json:
        emit({"galaxy": str(galaxy_name), "folder": str(galaxy.root)})
        return
    say(f"{galaxy.root}: galaxy {galaxy_name}")
    around.terminal.note(f"next: stellar build-star stars/NAME --galaxy {folder} --key AUTHOR.key")


@click.command("index-galaxy")
@click.argument("folder", type=FOLDER)
@keys_option
@passphrase_fd_option
@json_option
def index(folder: Path, keys: tuple[Path, ...], passphrase_fd: int | None, as_json: bool) -> None:
    """Write the index of the galaxy in FOLDER, and sign it.

    Author keys sign the statements of stars, galaxy keys the index. A galaxy in which nothing has changed keeps its
    bytes.
    """
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    reporter = around.reporter(quiet=as_json)
    done = index_galaxy(
        GalaxyFolder(root=folder),
        authors=_with_role(secrets, "author"),
        galaxies=_with_role(secrets, "galaxy"),
        today=_today(around.now()),
        reporter=reporter,
    )
    _demand_roles(secrets)
    if as_json:
        emit(_indexed_row(done))
        return
    state = f"seq {done.index.seq}" if done.is_changed else f"unchanged at seq {done.index.seq}"
    say(f"{folder}: {len(done.index.newest)} stars, {len(done.index.snapshot)} versions, {state}")
    if done.index.seq and not any(key.role == "galaxy" for key in secrets):
        around.terminal.note(f"sign it with: stellar sign {folder} --key GALAXY.key")


@click.command("sign")
@click.argument("paths", type=_PATH, nargs=-1, required=True)
@keys_option
@passphrase_fd_option
@json_option
def sign(paths: tuple[Path, ...], keys: tuple[Path, ...], passphrase_fd: int | None, as_json: bool) -> None:
    """Sign documents: statements of stars, a galaxy's index, a lock.

    Each PATH is a file, or a galaxy's folder: then the author keys sign every statement in its index, and the galaxy
    keys the index. Signatures that other keys made stay.
    """
    if not keys:
        raise Malformed("sign", "wants a key to sign with", hint="--key PATH; cosmos key new makes one")
    secrets = load_secret_keys(keys, passphrase_fd)
    files = [file for path in paths for file in (_galaxy_files(path, secrets) if path.is_dir() else [path])]
    done = sign_files(files, secrets)
    if as_json:
        emit({"signed": [str(file) for file in done.files], "already": done.already})
        return
    for file in done.files:
        say(f"{file}.dsse")
    if done.already:
        surroundings().terminal.note(f"{done.already} had these signatures already")


COMMANDS: tuple[click.Command, ...] = (galaxy_init, index, sign)


def _indexed_row(done: Indexed) -> dict[str, Json]:
    return {
        "galaxy": str(done.index.name),
        "seq": done.index.seq,
        "digest": str(done.digest),
        "changed": done.is_changed,
        "stars": len(done.index.newest),
        "versions": len(done.index.snapshot),
        "stated": list(done.stated),
        "signatures": done.signed,
    }


def _galaxy_files(folder: Path, secrets: tuple[SecretKey, ...]) -> list[Path]:
    """Return the documents of a galaxy that keys of these roles sign."""
    galaxy = GalaxyFolder(root=folder)
    listed = galaxy.index()
    files: list[Path] = []
    if _with_role(secrets, "author"):
        files += [galaxy.statement_file(row.name, row.version) for row in listed.snapshot]
    if _with_role(secrets, "galaxy"):
        files += [file for file in (galaxy.snapshot_file(listed.seq), galaxy.index_file) if file.is_file()]
    _demand_roles(secrets)
    return files


def _with_role(secrets: tuple[SecretKey, ...], role: str) -> tuple[SecretKey, ...]:
    return tuple(key for key in secrets if key.role == role)


def _demand_roles(secrets: tuple[SecretKey, ...]) -> None:
    for key in secrets:
        if key.role not in ("author", "galaxy"):
            raise Malformed(
                f"key {key.public.name}", f"has the role {key.role}; a galaxy is signed by author and galaxy keys"
            )


def _today(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y.%m.%d")
