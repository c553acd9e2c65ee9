"""Read passphrases from a prompt on a terminal or from a file descriptor, never from an argument or the environment.

cosmos key new alice --role author --passphrase-fd 3 3<passphrase.txt
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.keyring.key_file import MAX_PASSPHRASE_BYTES
from cosmos.keyring.memory_dumps import keep_secrets_in_memory
from cosmos.keyring.secret_key import SecretKey

passphrase_fd_option = click.option(
    "--passphrase-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the passphrase from file descriptor N (up to the first newline) instead of asking.",
)


def load_secret_keys(paths: tuple[Path, ...], passphrase_fd: int | None) -> tuple[SecretKey, ...]:
    """Return the keys in `paths`. A passphrase from a descriptor is read once and used for all of them."""
    if paths:
        keep_secrets_in_memory()
    given = functools.cache(lambda: _from_descriptor(passphrase_fd)) if passphrase_fd is not None else None
    return tuple(SecretKey.load(path, given or _prompted_for(path)) for path in paths)


def new_passphrase(passphrase_fd: int | None) -> bytes:
    """Return the passphrase for a new key. A prompt on a terminal asks for it twice."""
    keep_secrets_in_memory()
    if passphrase_fd is not None:
        return _from_descriptor(passphrase_fd)
    _demand_terminal("the new key")
    text: str = click.prompt("Passphrase of the new key", hide_input=True, confirmation_prompt="Again", err=True)
    return text.encode()


def _prompted_for(path: Path) -> Callable[[], bytes]:
    def ask() -> bytes:
        _demand_terminal(str(path))
        text: str = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
        return text.encode()

    return ask


def _demand_terminal(what: str) -> None:
    if not surroundings().stdin_is_terminal:
        raise Malformed(
            what,
            "needs a passphrase, and there is no terminal to ask on",
            hint="add --passphrase-fd 3 3<passphrase.txt",
        )


def _from_descriptor(number: int) -> bytes:
    try:
        with os.fdopen(number, "rb", closefd=False) as stream:
            data = stream.read(MAX_PASSPHRASE_BYTES + 2)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise Malformed("--passphrase-fd", f"descriptor {number} cannot be read: {problem}") from error
    return data.partition(b"\n")[0]
