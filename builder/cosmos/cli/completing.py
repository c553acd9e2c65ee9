"""What a word of the command line may be, for completion on the Tab key by click's machinery.

The shell starts the program with a variable such as _COSMOS_COMPLETE, and the program prints what may follow. What
fails prints nothing: nobody wants an error message in the middle of a command line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cosmos.errors import CosmosError, Malformed
from cosmos.model.reporter import Silent

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_DEPTH: Final = 2  # folders below what was typed that are looked into: images/NAME
_MOST: Final = 1_000  # entries of a folder that are looked at
_IMAGE_FILE, _RELEASE_FILE = "image.toml", "RELEASE.json"


class Named(click.Path):
    """A path. `hint` is the way out for somebody who names a path that must exist, and does not."""

    def __init__(self, hint: str | None = None, **how: bool) -> None:
        super().__init__(path_type=Path, **how)
        self._hint = hint

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; raises `Malformed` if nothing is there, and `click.BadParameter` for the rest."""
        if self.exists and not os.path.lexists(value):
            raise Malformed(os.fspath(value), "is not there", hint=self._hint)
        return super().convert(value, param, ctx)


class Known(Named):
    """A path. The Tab key offers the paths below the typed one for which `is_meant` is true; without any, all paths."""

    def __init__(self, is_meant: Callable[[Path], bool], hint: str | None = None, **how: bool) -> None:
        super().__init__(hint, **how)
        self._is_meant = is_meant

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the meant paths that begin with `incomplete`."""
        from click.shell_completion import CompletionItem

        found = [str(path) for path in _below(incomplete) if self._is_meant(path)]
        return [*map(CompletionItem, found)] or super().shell_complete(ctx, param, incomplete)


def holds_image(folder: Path) -> bool:
    """Whether it is the folder of an image definition."""
    return (folder / _IMAGE_FILE).is_file()


def holds_release(folder: Path) -> bool:
    """Whether it is the folder of a release."""
    return (folder / _RELEASE_FILE).is_file()


def is_secret_key(file: Path) -> bool:
    """Whether it is named as a secret key."""
    return file.suffix == ".key"


def is_public_key(file: Path) -> bool:
    """Whether it is named as a public key."""
    return file.suffix == ".pub"


def _below(typed: str) -> Iterator[Path]:
    """Yield what is there that begins with `typed`, a few folders deep, by name. A name with a dot must be typed."""
    head, slash, start = typed.rpartition("/")
    waiting = [(Path(head + slash), start, _DEPTH)]
    while waiting:
        folder, start, depth = waiting.pop(0)
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue
        for path in paths[:_MOST]:
            name = path.name
            if name.startswith(start) and name.startswith(".") == start.startswith("."):
                yield path
                if depth > 1 and path.is_dir():
                    waiting.append((path, "", depth - 1))


def installed_stars(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the installed stars whose names begin with `incomplete`."""
    return _named(incomplete, lambda: _installed(ctx))


def known_stars(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the stars of the system's galaxies whose names begin with `incomplete`, with their descriptions."""
    return _named(incomplete, lambda: _searched(ctx, incomplete))


def locked_stars(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the stars of the image that was typed before, or the installed ones."""
    words = ctx.params.get("words") or ()
    return _named(incomplete, lambda: _locked(Path(words[0])) if words else _installed(ctx))


def wished_stars(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the stars in [stars] of the image that was typed before, with their constraints."""
    return _named(incomplete, lambda: _wished(ctx))


def listed_stars(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the stars that the local galaxies of the image list: a Tab makes no connection."""
    return _named(incomplete, lambda: _listed(ctx))


def _named(incomplete: str, names: Callable[[], Iterable[tuple[str, str]]]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    try:
        return [CompletionItem(name, help=text) for name, text in sorted(names()) if name.startswith(incomplete)]
    except (CosmosError, OSError):
        return []


def _installed(ctx: click.Context) -> Iterator[tuple[str, str]]:
    from cosmos.device.root import LiveRoot
    from cosmos.device.system import read_universe

    with LiveRoot.open(ctx.params.get("root") or Path("/")) as live:
        yield from ((str(name), str(star.version)) for name, star in read_universe(live).installed.items())


def _searched(ctx: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    from cosmos.device.root import LiveRoot
    from cosmos.device.search import search

    with LiveRoot.open(ctx.params.get("root") or Path("/")) as live:
        found = search(live, [incomplete], Silent(), offline=True).found
    yield from ((str(one.star.name), one.star.description) for one in found)


def _locked(image: Path) -> Iterator[tuple[str, str]]:
    from cosmos.image.reasons import Explained

    yield from ((str(name), str(star.version)) for name, star in Explained(image).stars.items())


def _wished(ctx: click.Context) -> Iterator[tuple[str, str]]:
    from cosmos.image.definition import read_definition

    yield from ((str(name), str(limit)) for name, limit in read_definition(ctx.params["image"]).image.stars.items())


def _listed(ctx: click.Context) -> Iterator[tuple[str, str]]:
    from cosmos.image.definition import read_definition
    from cosmos.limits import MAX_INDEX_BYTES
    from cosmos.model.galaxy import GalaxyIndex
    from cosmos.reading import read_bounded

    definition, seen = read_definition(ctx.params["image"]), set[str]()
    for galaxy in definition.image.galaxies:
        file = definition.folder / galaxy.url / "meta.toml"
        if file.is_file():
            index = GalaxyIndex.parse(read_bounded(file, MAX_INDEX_BYTES), str(file))
            yield from ((str(name), str(one or "")) for name, one in index.newest.items() if name not in seen)
            seen.update(index.newest)
