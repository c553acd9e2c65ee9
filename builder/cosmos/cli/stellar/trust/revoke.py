"""`stellar trust revoke`: the next trust.toml, which revokes keys."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, json_option
from cosmos.cli.passphrase import passphrase_fd_option
from cosmos.cli.stellar.trust.next_version import out_option, read_roots, revocation, sign_option, write_version
from cosmos.stellar.trust_next import Changes


@click.command("revoke")
@click.argument("old", type=EXISTING_FILE)
@click.argument("keys", nargs=-1, required=True, metavar="NAME|ID|K.pub...")
@click.option(
    "--effective-seq",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="What the keys signed up to this seq stays good: for keys that were put away, never for lost ones.",
)
@click.option("--reason", default="", help="Why, for the people who read it.")
@out_option
@sign_option
@passphrase_fd_option
@json_option
def revoke(
    old: Path,
    keys: tuple[str, ...],
    effective_seq: int,
    reason: str,
    out: Path | None,
    signers: tuple[Path, ...],
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Write the version of trust.toml that follows OLD and revokes keys. It cannot be taken back."""
    roots = read_roots(old)
    rows = tuple(revocation(roots, text, effective_seq, reason) for text in keys)
    write_version(old, roots, Changes(revoked=rows), out, signers, passphrase_fd, as_json)
