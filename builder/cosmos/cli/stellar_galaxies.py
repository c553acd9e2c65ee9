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
from cosmos.model.reporter import Reporter, counted
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import Indexed, index_galaxy, sign_galaxy
from cosmos.stellar.publishing import Fewer
from cosmos.stellar.signing import sign_files

_fewer_option = click.option(
    "--publish",
    "fewer",
    flag_value="publish",
    default="wait",
    help="Publish the index although fewer keys have signed it than the one before.",
)
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
@_fewer_option
@json_option
def index(folder: Path, keys: tuple[Path, ...], passphrase_fd: int | None, fewer: Fewer, as_json: bool) -> None:
    """Write the index of the galaxy in FOLDER, sign it, and publish it in one step.

    Author keys sign the statements of stars, galaxy keys the index. A galaxy in which nothing has changed keeps its
    bytes. An index with fewer signatures than the one before waits in snapshots/ until stellar sign adds the others.
    """
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    reporter = around.reporter(quiet=as_json)
    _demand_roles(secrets)
    done = index_galaxy(
        GalaxyFolder(root=folder),
        authors=_with_role(secrets, "author"),
        galaxies=_with_role(secrets, "galaxy"),
        today=_today(around.now()),
        reporter=reporter,
        fewer=fewer,
    )
    if as_json:
        emit(_indexed_row(done))
        return
    state = f"seq {done.index.seq}" if done.is_changed else f"unchanged at seq {done.index.seq}"
    say(f"{folder}: {counted(len(done.index.newest), 'star')}, {counted(len(done.index.snapshot), 'version')}, {state}")
    if done.missing:
        _say_that_it_waits(done, folder)
    elif done.index.seq and not any(key.role == "galaxy" for key in secrets):
        around.terminal.note(f"sign it with: stellar sign {folder} --key GALAXY.key")


@click.command("sign")
@click.argument("paths", type=_PATH, nargs=-1, required=True)
@keys_option
@passphrase_fd_option
@_fewer_option
@json_option
def sign(
    paths: tuple[Path, ...], keys: tuple[Path, ...], passphrase_fd: int | None, fewer: Fewer, as_json: bool
) -> None:
    """Sign documents: statements of stars, a galaxy's index, a lock.

    Each PATH is a file, or a galaxy's folder: then the author keys sign every statement in its index, and the galaxy
    keys the index, which is published where it was waiting for that. Signatures that other keys made stay.
    """
    if not keys:
        raise Malformed("sign", "wants a key to sign with", hint="--key PATH; cosmos key new makes one")
    around = surroundings()
    secrets = load_secret_keys(keys, passphrase_fd)
    folders = {
        path: _signed_galaxy(path, secrets, fewer, around.reporter(quiet=as_json)) for path in paths if path.is_dir()
    }
    done = sign_files([path for path in paths if not path.is_dir()], secrets)
    if as_json:
        rows: list[Json] = [_indexed_row(one) for one in folders.values()]
        emit({"signed": [str(file) for file in done.files], "already": done.already, "galaxies": rows})
        return
    for file in done.files:
        say(f"{file}.dsse")
    for folder, one in folders.items():
        if one.signed or one.is_changed:
            say(f"{folder}: {counted(one.signed, 'signature')} added, seq {one.index.seq}")
        if one.missing:
            _say_that_it_waits(one, folder)
    if done.already:
        around.terminal.note(f"{done.already} had these signatures already")


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
        "published": not done.missing,
    }


def _signed_galaxy(folder: Path, secrets: tuple[SecretKey, ...], fewer: Fewer, reporter: Reporter) -> Indexed:
    """Sign the documents of a galaxy that keys of these roles sign."""
    _demand_roles(secrets)
    return sign_galaxy(
        GalaxyFolder(root=folder),
        authors=_with_role(secrets, "author"),
        galaxies=_with_role(secrets, "galaxy"),
        reporter=reporter,
        fewer=fewer,
    )


def _say_that_it_waits(done: Indexed, folder: Path) -> None:
    surroundings().terminal.note(
        f"seq {done.index.seq} is not published yet: it has {counted(done.missing, 'signature')} fewer than the index "
        f"before\nnext: stellar sign {folder} --key GALAXY.key (or --publish, where fewer are enough from now on)"
    )


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
