"""The part of `cosmos freeze` for an image: resolve its stars, pin each of them, and sign the lock."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.passphrase import load_secret_keys
from cosmos.cli.terminal import answer
from cosmos.image.definition import Definition, read_definition
from cosmos.image.freeze import check, freeze
from cosmos.image.known_signatures import known_signatures
from cosmos.image.preflight import demand_sound
from cosmos.image.signed_lock import sign_lock
from cosmos.image.template import stand_ins
from cosmos.model.names import StarName
from cosmos.model.reporter import counted

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
    as_json: bool,
) -> None:
    """Write the lock of `image`. `upgraded` and `lowered` are the values of --upgrade and --allow-downgrade."""
    definition = _sound(image)
    world = world_at(home, image, offline=offline, quiet=as_json)
    keys = load_secret_keys((key_file,), passphrase_fd) if key_file is not None else ()
    with nullcontext() if keys else known_signatures(world.made, world.reporter.warn):
        frozen = freeze(
            definition, world, upgrade=_wanted_upgrades(upgraded), allow_downgrade=_star_names(lowered), as_of=as_of
        )
    signed = sign_lock(definition, frozen.data, keys[0] if keys else None)
    stars = len(frozen.lock.stars)
    word = ("written" if frozen.changed else "unchanged") + (", signed" if signed else "")
    row: dict[str, Json] = {
        "lock": str(definition.lock_file),
        "stars": stars,
        "changed": frozen.changed,
        "signed": signed,
    }
    following = f"next: cosmos build {definition.folder}"
    answer(row, as_json, f"{definition.lock_file}: {word}, {counted(stars, 'star')}\n{following}")


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
