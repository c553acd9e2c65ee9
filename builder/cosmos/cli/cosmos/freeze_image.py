"""The part of `cosmos freeze` for an image: resolve its stars, pin each of them, and sign the lock."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.counting import Counting
from cosmos.cli.cosmos.kept_build import Question
from cosmos.cli.cosmos.kept_freeze import remarks_of, tell_frozen
from cosmos.cli.cosmos.moved_stars import moved_lines, moves
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.passphrase import load_secret_keys
from cosmos.cli.terminal import answer, surroundings
from cosmos.image.definition import Definition, read_definition
from cosmos.image.freeze import check, freeze
from cosmos.image.known_signatures import known_signatures
from cosmos.image.remembering import before_build
from cosmos.image.remembering_lock import remember_lock
from cosmos.image.signed_lock import sign_lock
from cosmos.image.soundness import demand_sound
from cosmos.image.template import stand_ins
from cosmos.model.names import StarName

EVERY_STAR = "*"  # what --upgrade gets without a name


def check_image(image: Path, *, as_json: bool) -> None:
    """Check the lock of `image`, offline."""
    definition = _sound(image)
    check(definition)
    row: dict[str, Json] = {"lock": str(definition.lock_file), "fresh": True}
    answer(row, as_json, f"{definition.lock_file}: fits its image")


def freeze_image(
    image: Path,
    upgraded: tuple[str, ...],
    lowered: tuple[str, ...],
    *,
    as_of: str | None,
    offline: bool,
    key_file: Path | None,
    passphrase_fd: int | None,
    home: Path | None,
    asked: Question | None,
    as_json: bool,
) -> None:
    """Write the lock of `image`. `upgraded` and `lowered` are the values of --upgrade and --allow-downgrade.

    What was frozen is remembered if `asked` says under which terms.
    """
    definition = _sound(image)
    reporter = Counting(surroundings().reporter(quiet=as_json))
    world = world_at(home, image, offline=offline, quiet=as_json, reporter=reporter)
    keys = load_secret_keys((key_file,), passphrase_fd) if key_file is not None else ()
    before = None
    if asked is not None:
        before = before_build(definition, world, asked.home, asked.out, asked.settled, {})
    with nullcontext() if keys else known_signatures(world.made, world.reporter.warn):
        frozen = freeze(
            definition, world, upgrade=_wanted_upgrades(upgraded), allow_downgrade=_star_names(lowered), as_of=as_of
        )
    signed = sign_lock(definition, frozen.data, keys[0] if keys else None)
    said = remarks_of(len(frozen.lock.stars), signed=signed)
    if asked is not None and before is not None and not reporter.warnings:
        remember_lock(before, definition, frozen, world, asked.terms, said)
    moved = moves(frozen.before, frozen.lock)
    lines = () if frozen.before is None else moved_lines(moved)  # of a first lock, the count says enough
    row: dict[str, Json] = {"changed": frozen.changed, "moves": {name: [*versions] for name, versions in moved.items()}}
    tell_frozen(definition.folder, {**said, **row}, lines, as_json=as_json)


def _sound(image: Path) -> Definition:
    definition = read_definition(image)
    demand_sound(definition, stand_ins(definition.template))
    return definition


def _wanted_upgrades(names: tuple[str, ...]) -> frozenset[StarName] | Literal["all"]:
    if EVERY_STAR in names:
        return "all"
    return _star_names(names)


def _star_names(names: tuple[str, ...]) -> frozenset[StarName]:
    try:
        return frozenset(StarName.parse(name) for name in names)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
