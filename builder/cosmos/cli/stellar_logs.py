"""`stellar log append|check|cosign`."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar_options import FOLDER, KEY, json_option, keys_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.log import append_to_log, check_log, cosign_log
from cosmos.trust.roots import TrustRoots

_SEEN = click.Path(dir_okay=False, path_type=Path)
_home_option = click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="Whose pinned keys to judge by.")
NO_MEMORY = "no head was remembered: a log that was forked or cut before today cannot be told"


@click.group("log")
def log() -> None:
    """Keep and check the transparency log of a galaxy: what it ever published, in order."""


@log.command("append")
@click.argument("folder", type=FOLDER)
@keys_option
@passphrase_fd_option
@json_option
def append(folder: Path, keys: tuple[Path, ...], passphrase_fd: int | None, as_json: bool) -> None:
    """Publish what the index of the galaxy in FOLDER lists, sign the head, and write a proof beside each star."""
    done = append_to_log(
        GalaxyFolder(root=folder), load_secret_keys(keys, passphrase_fd), surroundings().reporter(quiet=as_json)
    )
    if as_json:
        emit({"added": done.added, "size": done.head.size, "root": done.head.root.hex(), "proofs": done.proofs})
        return
    say(f"{folder}: {done.added} added, the log has {done.head.size} entries, {done.proofs} proofs")


@log.command("check")
@click.argument("folder", type=FOLDER)
@click.option("--seen", type=_SEEN, metavar="FILE", help="The head that was seen last; becomes the one seen now.")
@_home_option
@json_option
def check(folder: Path, seen: Path | None, home: Path | None, as_json: bool) -> None:
    """Check the log of the galaxy in FOLDER: its head's signatures, every tile, every proof.

    With --seen, also that it begins with all that it held before: otherwise it was cut or forked, exit 4.
    """
    done = check_log(GalaxyFolder(root=folder), _roots(home, folder), seen)
    head = done.head.head
    if as_json:
        emit(
            {
                "origin": head.origin,
                "size": head.size,
                "root": head.root.hex(),
                "stars": done.stars,
                "signers": list(done.head.signers),
                "witnesses": list(done.head.witnesses),
                "continues": done.continued,
            }
        )
        return
    before = f", continues the {done.continued} seen before" if done.continued is not None else ""
    say(f"{folder}: {head.origin} has {head.size} entries{before}; {len(done.head.witnesses)} witnesses")
    if done.continued is None and not done.head.witnesses:
        surroundings().terminal.note(NO_MEMORY)


@log.command("cosign")
@click.argument("folder", type=FOLDER)
@click.option("--key", "key", type=KEY, required=True, help="The witness's secret key.")
@click.option("--seen", type=_SEEN, required=True, metavar="FILE", help="The head that this witness saw last.")
@_home_option
@passphrase_fd_option
def cosign(folder: Path, key: Path, seen: Path, home: Path | None, passphrase_fd: int | None) -> None:
    """Witness the head of the log in FOLDER, if the log begins with all that this witness saw before."""
    (secret,) = load_secret_keys((key,), passphrase_fd)
    if secret.role != "witness":
        raise Malformed(f"key {secret.public.name}", f"has the role {secret.role}; heads are cosigned by witnesses")
    around = surroundings()
    roots, reporter = _roots(home, folder), around.reporter(quiet=False)
    head = cosign_log(GalaxyFolder(root=folder), secret, roots, seen, int(around.now()), reporter)
    say(f"{folder}: cosigned {head.head.origin} at {head.head.size} entries")


COMMANDS: tuple[click.Command, ...] = (log,)


def _roots(home: Path | None, near: Path) -> TrustRoots:
    return load_trust(home_anchor(surroundings().home(home, near=near))).roots
