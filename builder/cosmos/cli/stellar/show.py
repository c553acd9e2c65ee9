"""`stellar show`: say what a star's archive is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.entry_words import entry_line, entry_row
from cosmos.cli.options import EXISTING_FILE, json_option
from cosmos.cli.terminal import emit, in_one_line, say, say_document, surroundings
from cosmos.errors import Refused
from cosmos.stellar.show_archive import ShownArchive, Stated, show_archive


@click.command("show")
@click.argument("archive", type=EXISTING_FILE)
@click.option("--trust", type=EXISTING_FILE, metavar="FILE", help="Verify its statement by the keys in this file.")
@click.option("--script", "script_alone", is_flag=True, help="Print its install script alone.")
@json_option
def show(archive: Path, trust: Path | None, script_alone: bool, as_json: bool) -> int:
    """Say what the star's archive ARCHIVE is: manifest, statement, script, files. Nothing of it is run.

    Exit 4: the statement beside it is about another archive, or the keys in --trust did not sign it.
    """
    found = show_archive(archive, trust)
    if as_json:
        emit(_row(found))
    elif script_alone:
        _answer_script(found)
    else:
        for line in _lines(found):
            say(in_one_line(line))
    if found.stated.standing == "refused" or (trust is not None and found.stated.standing != "verified"):
        raise Refused(found.name, f"is not verified: {found.stated.why}")
    return 0


def _answer_script(found: ShownArchive) -> None:
    terminal = surroundings().terminal
    if found.script is None:
        terminal.note(f"{found.name} has no install script: its files are laid as they are")
        return
    if found.stated.standing != "verified":
        terminal.warn(f"{found.name}: is not verified: {found.stated.why}")
    say_document(found.script)


def _lines(found: ShownArchive) -> Iterator[str]:
    star = found.star
    yield found.name if star is None else f"{star.name} {star.version} ({star.arch}, {star.type})"
    yield f"archive       {found.digest}"
    yield f"size          {found.size_bytes:,} bytes, {found.unpacked_bytes:,} unpacked"
    if star is None:
        yield "manifest      none: it has no star.toml"
    else:
        yield f"what          {star.description or 'nothing is said'}"
        yield f"license       {star.license or 'none stated'}"
        needs = ", ".join(f"{name} {limit}" for name, limit in sorted(star.dependencies.items()))
        yield f"depends on    {needs or 'nothing'}"
        for origin in star.origins:
            yield f"made from     {origin.ecosystem} {origin.name} {origin.version} ({origin.digest})"
    yield f"statement     {_stated(found.stated)}"
    yield f"script        {'none' if found.script is None else f'{len(found.script.splitlines())} lines'}"
    yield f"files         {len(found.files)}"
    for entry in found.files.values():
        yield entry_line(entry, entry.size, entry.target)


def _stated(stated: Stated) -> str:
    if stated.standing == "absent":
        return f"none, so nobody says what it is: {stated.why}"
    if stated.standing == "refused":
        return f"REFUSED: {stated.why}"
    if stated.standing == "not judged":
        return f"is about these bytes; its signatures were NOT judged: {stated.why}"
    signers = stated.signers or {}
    return f"verified: signed by {', '.join(f'{name} ({key[:20]})' for key, name in signers.items())}"


def _row(found: ShownArchive) -> dict[str, Json]:
    star, stated = found.star, found.stated
    signers = stated.signers or {}
    return {
        "archive": str(found.digest),
        "size-bytes": found.size_bytes,
        "unpacked-bytes": found.unpacked_bytes,
        "name": None if star is None else str(star.name),
        "version": None if star is None else str(star.version),
        "arch": None if star is None else str(star.arch),
        "type": None if star is None else star.type,
        "description": None if star is None else star.description,
        "license": None if star is None else star.license,
        "dependencies": {}
        if star is None
        else {str(name): limit.text for name, limit in sorted(star.dependencies.items())},
        "statement": {
            "standing": stated.standing,
            "file": stated.file or None,
            "galaxy": None if stated.statement is None else str(stated.statement.galaxy),
            "signers": [{"key": key, "name": name} for key, name in signers.items()],
            "why": stated.why or None,
        },
        "script": None if found.script is None else found.script.decode("utf-8", "backslashreplace"),
        "files": [entry_row(entry, entry.size, entry.target) for entry in found.files.values()],
    }
