"""`cosmos key new`: a key pair."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.passphrase import new_passphrase, passphrase_fd_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_rows import key_row
from cosmos.errors import Malformed
from cosmos.model.names import KeyName
from cosmos.stellar.keys import new_key_pair
from cosmos.trust.roles import ROLES, role


@click.command("new")
@click.argument("name")
@click.option("--role", "role_name", type=click.Choice(ROLES), required=True, help="What the key shall sign.")
@click.option("--out", type=FOLDER, help="Folder for NAME.key and NAME.pub [default: keys/ of the home].")
@click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="The builder's home.")
@click.option("--no-passphrase", is_flag=True, help="Leave the secret key unsealed; its file says so.")
@passphrase_fd_option
@json_option
def key_new(
    name: str,
    role_name: str,
    out: Path | None,
    home: Path | None,
    no_passphrase: bool,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Make a key pair: NAME.key, sealed under a passphrase, and NAME.pub, which others pin."""
    if no_passphrase and passphrase_fd is not None:
        raise click.UsageError("--no-passphrase and --passphrase-fd exclude each other")
    key_name = _key_name(name)
    passphrase = None if no_passphrase else new_passphrase(passphrase_fd)
    pair = new_key_pair(key_name, role(role_name), out or surroundings().home(home) / "keys", passphrase)
    if as_json:
        emit(
            {**key_row(pair.public), "role": pair.role, "secret": str(pair.secret_path), "file": str(pair.public_path)}
        )
        return
    say(f"{pair.role} key {pair.public.name}")
    say(f"  id      {pair.public.id}")
    say(f"  public  {pair.public_path}   give this to whoever pins it")
    say(f"  secret  {pair.secret_path}   keep this; {'NOT SEALED' if no_passphrase else 'sealed'}")


def _key_name(text: str) -> KeyName:
    try:
        return KeyName.parse(text)
    except ValueError as error:
        raise Malformed("the key's name", str(error)) from error
