"""`cosmos new`: make an image definition to begin from, and its lock, so that it builds at once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.options import PATH, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed, quoted
from cosmos.image.new import galaxy_of_home, new_image
from cosmos.image.scaffolds import SCAFFOLDS

_DEFAULT = "minimal"


@click.command()
@click.argument("folder", metavar="NAME", type=PATH, required=False)
@click.option(
    "--template",
    type=click.Choice(list(SCAFFOLDS)),
    help=f"What to make [default: {_DEFAULT}; with --galaxy, empty].",
)
@click.option("--list", "only_list", is_flag=True, help="List the templates, and make nothing.")
@click.option("--arch", default=os.uname().machine, show_default=True, help="The architecture of the image.")
@click.option(
    "--galaxy",
    nargs=2,
    metavar="NAME URL",
    help="The galaxy of its stars; a path starts at the image [default: the one in the builder's home].",
)
@click.option(
    "--epoch",
    type=click.IntRange(min=0),
    help="source-date-epoch [default: $SOURCE_DATE_EPOCH, else the start of today].",
)
@home_option
@reporting_options
@json_option
def new(
    folder: Path | None,
    template: str | None,
    only_list: bool,
    arch: str,
    galaxy: tuple[str, str] | None,
    epoch: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Make an image definition in the new folder NAME, and its lock. It can be built and booted at once."""
    if only_list:
        return _list(as_json)
    if folder is None:
        raise click.UsageError("missing argument 'NAME', the new folder; or --list")
    around = surroundings()
    name = template or (_DEFAULT if galaxy is None else "empty")
    scaffold = SCAFFOLDS[name]
    if galaxy is None:
        place = around.home(home, near=folder)
        galaxy = ("core", "../galaxy") if not scaffold.is_bootable else galaxy_of_home(place, folder)
    today = _stated_epoch(around.environ.get("SOURCE_DATE_EPOCH") or str(int(around.now()) // 86400 * 86400))
    from cosmos.cli.schemas import with_schemas

    with _whole_or_gone(folder):
        made = new_image(
            folder, scaffold, arch=arch, galaxy=galaxy[0], url=galaxy[1], epoch=today if epoch is None else epoch
        )
        files = [*with_schemas(made, folder)]
        if scaffold.is_bootable:
            files.append(_frozen(folder, home, quiet=as_json))
    if as_json:
        return emit({"template": name, "files": [str(file) for file in files]})
    for file in files:
        say(str(file))
    if scaffold.is_bootable:
        commands = f"cosmos build {quoted(folder)}, then cosmos boot {quoted(folder / 'out')}"
        say(f"next: {commands}; {files[0]} is where to change it")
    else:
        say(f"next: add stars to {files[0]}, then cosmos freeze {quoted(folder)}")
    return None


@contextmanager
def _whole_or_gone(folder: Path) -> Iterator[None]:
    """Remove the new folder if the block raises, so that the same command can be given again."""
    was_there = os.path.lexists(folder)
    try:
        yield
    except BaseException:
        if not was_there:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _stated_epoch(text: str) -> int:
    """Return the value of $SOURCE_DATE_EPOCH. Raises `Malformed`."""
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise Malformed("SOURCE_DATE_EPOCH", f"want seconds since 1970, got {text[:80]!r}", hint="name it: --epoch N")
    return int(text)


def _list(as_json: bool) -> None:
    if as_json:
        rows: list[Json] = [{"name": name, "meaning": one.meaning} for name, one in SCAFFOLDS.items()]
        return emit({"templates": rows})
    width = max(map(len, SCAFFOLDS))
    for name, one in SCAFFOLDS.items():
        say(f"{name:<{width}}  {one.meaning}")
    say("next: cosmos new NAME --template TEMPLATE")
    return None


def _frozen(folder: Path, home: Path | None, *, quiet: bool) -> Path:
    """Resolve the image's stars, and return the file of the lock. Raises the errors of `cosmos.errors`."""
    from cosmos.cli.cosmos.world import world_at
    from cosmos.image.definition import read_definition
    from cosmos.image.freeze import freeze

    definition = read_definition(folder)
    freeze(definition, world_at(home, folder, offline=False, quiet=quiet))
    return definition.lock_file
