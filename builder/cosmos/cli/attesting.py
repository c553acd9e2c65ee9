"""`cosmos attest`, and what `cosmos verify --quorum` asks."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.release.attest import Quorum, attest_rebuild, demand_quorum

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
badges_option = click.option(
    "--badges", "badges_file", type=_FILE, metavar="FILE", help="Where the badges lie [default: OUT.intoto.jsonl]."
)
quorum_option = click.option(
    "--quorum", type=click.IntRange(min=1), metavar="N", help="Demand that N pinned attesters have rebuilt it."
)


@click.command()
@click.argument("out", type=_FOLDER)
@click.option("--key", "key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@badges_option
@passphrase_fd_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def attest(out: Path, key: Path, badges_file: Path | None, passphrase_fd: int | None, as_json: bool) -> None:
    """Sign that you built the release in OUT yourself: this content root, from this lock.

    Build it from the same lock on your own machine first. The badge goes beside the folder, for verify --quorum.
    """
    (secret,) = load_secret_keys((key,), passphrase_fd)
    rebuilt, file = attest_rebuild(out, secret, badges_file)
    if as_json:
        emit({"content-root": str(rebuilt.content_root), "lock": str(rebuilt.lock), "badges": str(file)})
        return
    say(f"{file}: {secret.public.name} rebuilt {rebuilt.content_root} from the lock {rebuilt.lock}")


def asked_quorum(out: Path, least: int, badges_file: Path | None, home: Path | None) -> Quorum:
    """Return who has rebuilt the release in `out`, by the pinned keys of `home`; raises `Refused`."""
    roots = load_trust(home_anchor(surroundings().home(home, near=out))).roots
    return demand_quorum(out, least, roots, badges_file)
