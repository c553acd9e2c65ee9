"""The release that `cosmos verify` and `cosmos repair` of a system take by `--from`, and what they say of it."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.arguments import folders_on, release_on
from cosmos.cli.trust_words import shown_public_key
from cosmos.device.released import ReleaseAsked
from cosmos.release.verify import ReleaseVerdict


def release_asked(
    sticks: tuple[Path, ...], key_files: tuple[Path, ...], accept_revoked: tuple[str, ...]
) -> tuple[ReleaseAsked | None, tuple[Path, ...]]:
    """Return the release among the folders of `--from`, or None, and the folders with galaxies.

    Raises `UsageError` for options that need a release.
    """
    folder, galaxies = release_on(folders_on(sticks))
    if folder is None:
        if key_files or accept_revoked:
            raise click.UsageError("--key and --accept-revoked belong to a release: name its folder")
        return None, galaxies
    keys = tuple(shown_public_key(file) for file in key_files)
    return ReleaseAsked(folder=folder, keys=keys, accept=frozenset(accept_revoked)), galaxies


def release_row(verdict: ReleaseVerdict | None) -> Json:
    """Return the row of the release that was at hand; null if none was."""
    if verdict is None:
        return None
    return {
        "folder": str(verdict.folder),
        "content-root": str(verdict.content_root),
        "signers": list(verdict.signers),
    }
