"""`cosmos diff`: say in what two images, releases, locks, folders or archives differ."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from cosmos.cli.cosmos.diff_words import comparison_lines, comparison_notes, comparison_row
from cosmos.cli.options import EXISTING_PATH, json_option
from cosmos.cli.terminal import emit, say
from cosmos.errors import Differs
from cosmos.model.reporter import counted
from cosmos.release.diff.compare import CAUSES, Cause
from cosmos.release.diff.comparison import Comparison, compare


@click.command()
@click.argument("before", metavar="A", type=EXISTING_PATH)
@click.argument("after", metavar="B", type=EXISTING_PATH)
@click.option(
    "--ignore", type=click.Choice(CAUSES), multiple=True, help="Leave out differences of this cause, such as time."
)
@click.option("--packed", is_flag=True, help="Other packed bytes of the same contents are a difference, too.")
@click.option("--md", "as_notes", is_flag=True, help="Write release notes in Markdown.")
@json_option
def diff(before: Path, after: Path, ignore: tuple[str, ...], packed: bool, as_notes: bool, as_json: bool) -> None:
    """Say in what A and B differ: star, path, cause, and the place inside a file.

    Each is an image, a release, a lock or another .toml or .json file, a tar archive, or a folder, such as a system's
    root. Exit 0: the same contents. Exit 7: something differs, and is named. Signatures are not checked here.
    """
    if as_notes and as_json:
        raise click.UsageError("--md and --json exclude each other")
    found = compare(before, after, cast("frozenset[Cause]", frozenset(ignore)))
    if as_json:
        emit(comparison_row(found))
    else:
        for line in comparison_notes(found) if as_notes else comparison_lines(found):
            say(line)
    problem = _problem(found, packed=packed)
    if problem:
        raise Differs(str(after), problem)


def _problem(found: Comparison, *, packed: bool) -> str:
    """Return the sentence of the error, or nothing if both are the same."""
    parts = []
    if found.tree is not None and found.tree.differences:
        parts.append(counted(len(found.tree.differences), "path"))
    if found.documents:
        parts.append(counted(len(found.documents), "document"))
    if found.files:
        parts.append(counted(len(found.files), "other file"))
    if found.deeds:
        parts.append("what scripts do")
    if not parts and packed and found.tree is not None and found.tree.repacked:
        parts.append(f"the packing of {counted(len(found.tree.repacked), 'layer')}")
    return f"differs from {found.before}: {', '.join(parts)}" if parts else ""
