"""Functions that several commands use for their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import click

from cosmos.device.system import NoSystem
from cosmos.errors import WorldFailed, quoted
from cosmos.model.release import RELEASE_FILE
from cosmos.staging.source import INDEX_FILE

Named = TypeVar("Named")
_MAX_FOLDERS: Final = 100  # that are looked at in one folder of a stick


def parsed(parse: Callable[[str], Named], text: str, argument: str) -> Named:
    """Return `text` as a value; raises `UsageError` with the argument's name if `parse` refuses it."""
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(f"{argument}: {error}") from error


@contextmanager
def naming_instead(root: Path | None, what: str) -> Iterator[None]:
    """Say in the hint what to name, if neither a system nor `what` was named and this machine is no system.

    Raises `NoSystem`.
    """
    try:
        yield
    except NoSystem as error:
        if root is None:
            error.hint = f"name {what}; or a system in a folder: --root FOLDER"
        raise


def folders_on(sticks: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return these folders, each with the folders in it, by name: a stick is a galaxy, or holds some.

    Raises `WorldFailed`.
    """
    found = list[Path]()
    for stick in sticks:
        try:
            inner = sorted(path for path in stick.iterdir() if path.is_dir())
        except OSError as error:
            problem = f"cannot be read: {(error.strerror or 'it failed').lower()}"
            raise WorldFailed(str(stick), problem, hint="is it mounted?") from error
        found += [stick, *inner[:_MAX_FOLDERS]]
    return tuple(found)


def release_on(folders: tuple[Path, ...]) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the release among the folders of sticks, or None, and the folders that are to be galaxies.

    With a release, only folders with an index are: no other folder needs to be one. Raises `UsageError` if there are
    several releases.
    """
    found = dict.fromkeys(folder for folder in folders if (folder / RELEASE_FILE).is_file())
    if len(found) > 1:
        raise click.UsageError(f"--from: want one release, found {' and '.join(map(str, found))}: name one")
    if not found:
        return None, folders
    return next(iter(found)), tuple(folder for folder in folders if (folder / INDEX_FILE).is_file())


def root_text(root: Path) -> str:
    """Return the option `--root` for a command in a hint; an empty text for the running system."""
    return "" if root == Path("/") else f" --root {quoted(root)}"
