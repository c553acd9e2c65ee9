"""`cosmos audit`: prove that the pins of an image fail closed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import IMAGE, PUBLIC_KEY, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say
from cosmos.cli.trust_words import shown_public_key
from cosmos.errors import Differs
from cosmos.image.audit.auditing import Audit, audit
from cosmos.image.audit.outcomes import Outcome
from cosmos.image.definition import read_definition
from cosmos.keyring.anchors import home_anchor
from cosmos.model.release import RELEASE_ENVELOPE


@click.command(name="audit")
@click.argument("image", type=IMAGE)
@click.option("--key", "key_files", type=PUBLIC_KEY, multiple=True, help="A public key of the release's signer.")
@click.option("--all", "shows_all", is_flag=True, help="List every change and what came of it.")
@home_option
@reporting_options
@json_option
def audit_command(image: Path, key_files: tuple[Path, ...], shows_all: bool, home: Path | None, as_json: bool) -> None:
    """Change every input of IMAGE, one at a time, and see that each change is refused.

    Inputs are the lock, its stars' archives, statements and envelopes, the index, the trust anchors, what the operator
    wrote, the store, and the files of the finished release. The changes are derived from the files themselves. What is
    not refused at once is built to its end. Nothing outside of a temporary folder is changed. Exit 0: every change was
    refused, or ended as it may: what the operator writes in another image, a damaged store in the same. Exit 7: one
    went through.
    """
    definition = read_definition(image)
    world = world_at(home, image, offline=False, quiet=as_json)
    keys = [shown_public_key(file) for file in key_files]
    if not keys and home_anchor(world.home).exists():
        keys = list(world.pinned.keys("release"))
    out = definition.folder / "out"
    release = out if keys and (out / RELEASE_ENVELOPE).is_file() else None
    found = audit(definition, world, release, keys, jobs=len(os.sched_getaffinity(0)))
    if as_json:
        emit(_row(found))
    else:
        for line in _lines(found, shows_all=shows_all):
            say(line)
    if found.bad:
        raise Differs(
            str(definition.folder),
            f"{len(found.bad)} of {len(found.outcomes)} changes were not refused",
            differences=tuple(one.name for one in found.bad),
        )


def _lines(found: Audit, *, shows_all: bool) -> Iterator[str]:
    kinds = list(dict.fromkeys(one.kind for one in found.outcomes))
    width = max(map(len, kinds))
    for kind in kinds:
        those = [one for one in found.outcomes if one.kind == kind]
        codes = Counter(_verdict(one) for one in those)
        said = ", ".join(f"{number} {verdict}" for verdict, number in sorted(codes.items()))
        yield f"{kind:<{width}}  {len(those):>4} changes: {said}"
        if shows_all:
            yield from (f"  {_verdict(one)}: {one.name}: {one.said}" for one in those)
    yield from (f"not changed: {line}" for line in found.left_alone)
    good = len(found.outcomes) - len(found.bad)
    yield f"{good} of {len(found.outcomes)} changes were refused, or ended as they may; {found.builds} whole builds"


def _verdict(one: Outcome) -> str:
    if one.exit_code:
        return f"exit {one.exit_code}" if one.exit_code > 1 else "A BUG"
    return one.became if one.is_good else "WENT THROUGH"


def _row(found: Audit) -> dict[str, Json]:
    return {
        "changes": len(found.outcomes),
        "good": len(found.outcomes) - len(found.bad),
        "whole-builds": found.builds,
        "not-changed": list(found.left_alone),
        "outcomes": [
            {
                "kind": one.kind,
                "file": one.file,
                "change": one.what,
                "verdict": _verdict(one),
                "good": one.is_good,
                "said": one.said,
            }
            for one in found.outcomes
        ],
    }
