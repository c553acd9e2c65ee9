"""The files that a build of an image reads, for a watcher: `cosmos build --watch` and `cosmos dev --watch`.

    of the image      image.toml, the lock and its signature, the constellations, finish script and trust.toml in it
    of the template   every path in its folder
    of the home       trust.toml
    of local galaxies meta.toml and its signature, and the archives that the lock pins

A watcher compares what stat(2) says of them, again and again. inotify would say it at once, and would not say it for
all: not on network file systems and shared folders of virtual machines, and not beyond a limit of watched folders that
users share. A thousand files take some milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.errors import CosmosError
from cosmos.image.joining import read_joined
from cosmos.image.template_folder import IMAGE_FILE, ROOT_FOLDER, template_folder
from cosmos.limits import MAX_LOCK_BYTES, MAX_WATCHED_PATHS
from cosmos.model.image import Image
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.reading import envelope_of, read_bounded
from cosmos.records import dataclass
from cosmos.staging.source import INDEX_FILE
from cosmos.transport.opening import galaxy_folder, is_network
from cosmos.trust.roots import TRUST_FILE

Sight: TypeAlias = Mapping[Path, tuple[int, ...]]
_ABSENT: Final = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Files that are looked at, and folders of which every path is."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]

    def sight(self) -> Sight:
        """Return what there is to see of each: times, size, mode and inode. An absent path has nothing."""
        return {path: _stat(path) for path in (*self.files, *self._inside())}

    def besides(self, files: Iterable[Path]) -> Inputs:
        """Return these inputs with `files` as well."""
        return replace(self, files=(*self.files, *files))

    def _inside(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from islice(_below(folder), MAX_WATCHED_PATHS)


def image_inputs(path: Path, home: Path, known: Inputs | None = None) -> Inputs:
    """Return the inputs of the image at `path`, its folder or its file; those `known` before if it cannot be read."""
    file = path / IMAGE_FILE if path.is_dir() else path
    folder = file.parent
    try:
        joined = read_joined(file)
        image = Image.parse(joined.data, str(file))
    except (CosmosError, OSError):
        return known or Inputs(files=(file,), folders=())
    lock = folder / LOCK_FILE
    named = (folder / name for name in (*joined.bases, *image.constellations, image.finish, image.trust) if name)
    galaxies = tuple(_local_galaxies(image, folder))
    archives = (path for galaxy in galaxies for path in _archives(lock, *galaxy))
    indexes = (place / INDEX_FILE for _, place in galaxies)
    files = (file, lock, envelope_of(lock), *named, home / "trust" / TRUST_FILE, *_signed(indexes), *archives)
    folders = list[Path]()
    with suppress(CosmosError, OSError):
        template = template_folder(folder, image.template)
        folders.append(template)
        if (template / ROOT_FOLDER).is_symlink():
            folders.append(template / ROOT_FOLDER)
    return Inputs(files=tuple(dict.fromkeys(files)), folders=tuple(folders))


def changed(before: Sight, after: Sight) -> tuple[Path, ...]:
    """Return the paths that are not as they were, by name."""
    return tuple(path for path in sorted({*before, *after}) if before.get(path, _ABSENT) != after.get(path, _ABSENT))


def _local_galaxies(image: Image, folder: Path) -> Iterator[tuple[str, Path]]:
    for asked in image.galaxies:
        if not is_network(asked.url):
            with suppress(CosmosError):
                yield str(asked.name), galaxy_folder(asked.url, folder)


def _archives(lock: Path, galaxy: str, place: Path) -> list[Path]:
    """Return the archives of a galaxy that the lock pins; none if the lock is missing, or is not one now."""
    try:
        stars = Lock.parse(read_bounded(lock, MAX_LOCK_BYTES), str(lock)).stars
    except (CosmosError, OSError):
        return []
    return [place / star.file for star in stars if star.galaxy == galaxy]


def _signed(files: Iterable[Path]) -> list[Path]:
    return [one for file in files for one in (file, envelope_of(file))]


def _below(folder: Path) -> Iterator[Path]:
    """Yield every path in `folder`; of a link to a folder, the link alone."""
    waiting = [folder]
    while waiting:
        with suppress(OSError):
            for path in sorted(waiting.pop().iterdir()):
                yield path
                if path.is_dir() and not path.is_symlink():
                    waiting.append(path)


def _stat(path: Path) -> tuple[int, ...]:
    try:
        about = path.lstat()
        if path.is_symlink():
            seen = path.stat()
            return (*_numbers(about), *_numbers(seen))
    except (OSError, ValueError):
        return _ABSENT
    return _numbers(about)


def _numbers(about: os.stat_result) -> tuple[int, ...]:
    return (about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_mode, about.st_dev, about.st_ino)
