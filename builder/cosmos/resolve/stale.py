"""Judge whether a lock is stale: compare it with its image definition, without a galaxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cosmos.model.constraint import Constraint
from cosmos.model.image import Image
from cosmos.model.lock import Lock, Request
from cosmos.model.names import StarName

Constellations = Mapping[str, Mapping[StarName, Constraint]]


def request_of(image: Image, constellations: Constellations) -> Request:
    """Return the request of a lock for `image`; `constellations` are its members by the names in image.toml."""
    return Request(
        image=image.name,
        arch=image.arch,
        stars=dict(image.stars),
        constellations={name: dict(constellations[name]) for name in image.constellations},
        galaxies={galaxy.name: galaxy.url for galaxy in image.galaxies},
    )


def differences(lock: Lock, image: Image, constellations: Constellations, level: int) -> tuple[str, ...]:
    """Return a sentence for each thing that makes `lock` stale; empty if it answers `image` and `constellations`.

    `level` is the zstd level that the image asks for.
    """
    asked = request_of(image, constellations)
    return (
        *_changed("image", lock.request.image, asked.image),
        *_changed("arch", lock.request.arch, asked.arch),
        *_wishes("stars", lock.request.stars, asked.stars),
        *_constellations(lock.request, asked),
        *_galaxies(lock, image),
        *_changed("level", lock.build.level, level),
        *_changed("source-date-epoch", lock.build.source_date_epoch, image.source_date_epoch),
    )


def _changed(what: str, locked: object, asked: object) -> Iterable[str]:
    return () if locked == asked else (f"{what} is now {asked}, but was locked as {locked}",)


def _wishes(where: str, locked: Mapping[StarName, Constraint], asked: Mapping[StarName, Constraint]) -> Iterable[str]:
    for name in sorted(locked.keys() | asked.keys()):
        was, now = locked.get(name), asked.get(name)
        if was is None:
            yield f"{where}: {name} {now} is wished for, but was not when it was locked"
        elif now is None:
            yield f"{where}: {name} {was} was locked, but is no longer wished for"
        elif was.text != now.text:
            yield f"{where}: {name} is now {now}, but was locked as {was}"


def _constellations(locked: Request, asked: Request) -> Iterable[str]:
    for name in sorted(locked.constellations.keys() | asked.constellations.keys()):
        if name not in locked.constellations:
            yield f"constellation {name} is asked for, but was not when it was locked"
        elif name not in asked.constellations:
            yield f"constellation {name} was locked, but is no longer asked for"
        else:
            yield from _wishes(f"constellation {name}", locked.constellations[name], asked.constellations[name])


def _galaxies(lock: Lock, image: Image) -> Iterable[str]:
    locked = {galaxy.name: galaxy for galaxy in lock.galaxies}
    asked = {galaxy.name: galaxy for galaxy in image.galaxies}
    for name in sorted(locked.keys() | asked.keys()):
        if name not in locked:
            yield f"galaxy {name} was added"
        elif name not in asked:
            yield f"galaxy {name} was locked, but is gone"
        else:
            yield from _changed(f"galaxy {name}: url", locked[name].url, asked[name].url)
            yield from _changed(
                f"galaxy {name}: allow-unsigned", locked[name].allow_unsigned, asked[name].allow_unsigned
            )
    if list(locked) != list(asked) and locked.keys() == asked.keys():
        yield f"galaxies are now in the order {', '.join(asked)}, but were locked as {', '.join(locked)}"
