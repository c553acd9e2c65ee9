"""`stellar trust sign`: one more signature for a trust.toml, and how many are missing."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, SECRET_KEY, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar.trust.next_version import answer_progress, read_roots
from cosmos.stellar.trust_next import before, progress, sign_next


@click.command("sign")
@click.argument("file", type=EXISTING_FILE)
@click.option("--key", "signers", type=SECRET_KEY, multiple=True, help="Secret root key; without one, only count.")
@click.option("--previous", type=EXISTING_FILE, help="The version before [default: N-1.toml beside FILE].")
@passphrase_fd_option
@json_option
def sign(
    file: Path, signers: tuple[Path, ...], previous: Path | None, passphrase_fd: int | None, as_json: bool
) -> None:
    """Add signatures to a trust.toml, and say how many are still missing.

    FILE and FILE.dsse go from one holder of a root key to the next. Each key stays on its holder's machine.
    """
    roots = read_roots(file)
    if previous is None and roots.version > 1 and before(file, roots.version).is_file():
        previous = before(file, roots.version)
    old = None if previous is None else read_roots(previous)
    secrets = load_secret_keys(signers, passphrase_fd)
    answer_progress(sign_next(file, old, secrets) if secrets else progress(file, old), as_json)
