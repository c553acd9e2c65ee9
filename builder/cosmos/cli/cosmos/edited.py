"""Edit an image's wishes and freeze: what `cosmos add` and `cosmos remove` share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.moved_stars import Moves, moved_lines, moves
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import EXISTING_FILE, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import answer
from cosmos.errors import quoted
from cosmos.image.definition import Definition
from cosmos.image.editing import with_wishes, write_edited
from cosmos.image.freeze import prepare
from cosmos.image.signed_lock import sign_lock
from cosmos.image.soundness import demand_sound
from cosmos.image.template import stand_ins
from cosmos.model.constraint import Constraint
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.reporter import counted
from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The options that both commands have."""

    offline: bool
    key_file: Path | None
    passphrase_fd: int | None
    home: Path | None
    as_json: bool


def editing_options(command: Callable[[Terms, Path, tuple[str, ...]], None]) -> Callable[..., None]:
    """Give a command the options of `Terms`, which it gets as its first argument."""

    @click.option("--offline", is_flag=True, help="Use what the store holds; open no galaxy.")
    @click.option("--sign", "key_file", type=EXISTING_FILE, help="Sign the lock with this secret key (role release).")
    @passphrase_fd_option
    @home_option
    @reporting_options
    @json_option
    @functools.wraps(command)
    def with_terms(
        image: Path,
        stars: tuple[str, ...],
        offline: bool,
        key_file: Path | None,
        passphrase_fd: int | None,
        home: Path | None,
        as_json: bool,
    ) -> None:
        terms = Terms(offline=offline, key_file=key_file, passphrase_fd=passphrase_fd, home=home, as_json=as_json)
        command(terms, image, stars)

    return with_terms


def edit_and_freeze(definition: Definition, wishes: Mapping[StarName, Constraint | None], terms: Terms) -> None:
    """Write `wishes` into image.toml and freeze, and answer. If the freeze fails, nothing was written."""
    edited = with_wishes(definition, wishes) if wishes else definition
    demand_sound(edited, stand_ins(edited.template))
    world = world_at(terms.home, definition.folder, offline=terms.offline, quiet=terms.as_json)
    keys = load_secret_keys((terms.key_file,), terms.passphrase_fd) if terms.key_file is not None else ()
    prepared = prepare(edited, world)
    frozen = write_edited(definition, edited, prepared, world)
    signed = sign_lock(edited, frozen.data, keys[0] if keys else None)
    moved = moves(prepared.before, prepared.lock)
    row: dict[str, Json] = {
        "image": str(definition.file),
        "wishes": {str(name): None if limit is None else str(limit) for name, limit in wishes.items()},
        "lock": str(definition.lock_file),
        "stars": len(frozen.lock.stars),
        "changed": frozen.changed,
        "signed": signed,
        "moves": {name: [was, now] for name, (was, now) in moved.items()},
    }
    answer(row, terms.as_json, "\n".join(_lines(definition, wishes, frozen.lock, moved, changed=frozen.changed)))


def _lines(
    definition: Definition,
    wishes: Mapping[StarName, Constraint | None],
    lock: Lock,
    moved: Moves,
    *,
    changed: bool,
) -> Iterator[str]:
    wanted_by = {star.name: star.wanted_by for star in lock.stars}
    for name, limit in wishes.items():
        yield f"{definition.file}: " + (f"removed {name}" if limit is None else f'{name} = "{limit}"')
        if limit is None and name in wanted_by:
            yield f"  {name} stays in the lock: {', '.join(wanted_by[name])} wants it"
    word = "written" if changed else "unchanged"
    yield f"{definition.lock_file}: {word}, {counted(len(lock.stars), 'star')}"
    yield from moved_lines(moved)
    yield f"next: cosmos build {quoted(definition.folder)}"
