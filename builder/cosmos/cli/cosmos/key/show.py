"""`cosmos key show`: a public key, or what a secret key's file states."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FILE, json_option
from cosmos.cli.terminal import emit, say
from cosmos.cli.trust_rows import key_row
from cosmos.cli.trust_words import shown_public_key
from cosmos.keyring.key_file import stated_head
from cosmos.keyring.secret_key import read_private
from cosmos.trust.keys import PublicKey


@click.command("show")
@click.argument("file", type=FILE)
@json_option
def key_show(file: Path, as_json: bool) -> None:
    """Show a public key, or what a secret key's file states; no passphrase is asked."""
    public, about = _shown_key(file)
    if as_json:
        emit({**key_row(public), **about})
        return
    say(public.line)
    say(f"  id          {public.id}")
    for what, value in about.items():
        say(f"  {what:<11} {value}")


def _shown_key(file: Path) -> tuple[PublicKey, dict[str, str]]:
    if file.suffix != ".key":
        return shown_public_key(file), {}
    head, protection = stated_head(read_private(file), str(file))
    return head.public, {"role": head.role, "protection": protection}
