"""Read the values of secret variables, from files and descriptors, never from an argument or the environment.

    --secret wifi_psk=FILE     a file outside the repository that nobody else may read, or a pipe
    --secret wifi_psk=fd:3     a descriptor, as in: cosmos build IMAGE --secret wifi_psk=fd:3 3<FILE
    --secret wifi_psk=-        stdin

A value is text in UTF-8. One newline at its end (LF or CR LF) is no part of it, because editors and `echo` write it;
everything else is, also further newlines. What stands behind the `=` is repeated in no error: it may be the secret
itself, by mistake.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.keyring.memory_dumps import keep_secrets_in_memory
from cosmos.limits import MAX_SECRET_BYTES
from cosmos.nova.templating.secret import Secret
from cosmos.reading import read_within

_FORM: Final = re.compile(r"([a-z][a-z0-9_]*)=(?:(-)|fd:([0-9]{1,6})|(.+))", re.DOTALL)
_OTHERS: Final = 0o077  # the rights of group and others
_PIPES: Final = (stat.S_ISFIFO, stat.S_ISSOCK)


def read_secrets(words: Iterable[str], passphrase_fd: int | None, *, kept_in: Iterable[Path]) -> dict[str, Secret]:
    """Return the values that the words of `--secret` name. No file may lie in one of the folders `kept_in`.

    Raises `UsageError` or `Malformed` for a wrong word or value, `Refused` for a file that others may read, and
    `WorldFailed` for one that cannot be read.
    """
    read = set() if passphrase_fd is None else {passphrase_fd}
    secrets: dict[str, Secret] = {}
    for word in words:
        keep_secrets_in_memory()
        match = _FORM.fullmatch(word)
        if match is None:
            raise click.UsageError("--secret: want NAME=FILE, NAME=fd:N or NAME=-, with the NAME of a variable")
        name, stdin, number, file = match.groups()
        if name in secrets:
            raise click.UsageError(f"--secret {name}: is given twice")
        if file is not None:
            data = _of_file(Path(file), name, kept_in)
        else:
            descriptor = 0 if stdin else int(number)
            if descriptor in read:
                raise click.UsageError(f"--secret {name}: descriptor {descriptor} is read for something else, too")
            read.add(descriptor)
            data = _of_descriptor(descriptor, name)
        secrets[name] = Secret(_text(data, name), [name])
    return secrets


def _of_file(file: Path, name: str, kept_in: Iterable[Path]) -> bytes:
    where = _where(name)
    try:
        real = file.resolve()
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        hint = "name a file: a value itself never stands in a command, which every process of the machine can read"
        raise Malformed(where, "its file is not there", hint=hint) from error
    except OSError as error:
        raise WorldFailed(where, f"its file cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode):
            _demand_outside(real, kept_in, where)
            if about.st_mode & _OTHERS:
                hint = "chmod 600 on it; or through stdin: NAME=-"
                raise Refused(
                    where, f"others may read or write its file (mode {stat.S_IMODE(about.st_mode):04o})", hint=hint
                )
        return _of_descriptor(descriptor, name)
    finally:
        os.close(descriptor)


def _demand_outside(file: Path, kept_in: Iterable[Path], where: str) -> None:
    for folder in kept_in:
        if file.is_relative_to(folder.resolve()):
            raise Malformed(
                where,
                f"its file lies in {folder}, which is kept and shared with the image",
                hint="keep it elsewhere, such as in a folder of your own with mode 0700",
            )


def _of_descriptor(descriptor: int, name: str) -> bytes:
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or any(is_one(mode) for is_one in _PIPES)):
            raise Malformed(_where(name), "want a file or a pipe, not a folder, a terminal or another device")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return read_within(stream, MAX_SECRET_BYTES)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise Malformed(_where(name), f"descriptor {descriptor} cannot be read: {problem}") from error


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_SECRET_BYTES:
        raise Malformed(_where(name), f"has more than {MAX_SECRET_BYTES} bytes")
    data = data.removesuffix(b"\r\n") if data.endswith(b"\r\n") else data.removesuffix(b"\n")
    if not data:
        raise Malformed(_where(name), "is empty")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(_where(name), "is not text in UTF-8", hint="encode it: base64 FILE") from None
    if "\0" in text:
        raise Malformed(_where(name), "has a NUL byte, which no text has", hint="encode it: base64 FILE")
    return text


def _where(name: str) -> str:
    return f"--secret {name}"
