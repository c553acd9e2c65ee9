"""`cosmos rebuild-once`: one build of `cosmos rebuild`, in a process of its own. Not for people."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cosmos.cli.cosmos.program import own_description, own_identity
from cosmos.cli.options import EXISTING_FILE
from cosmos.image.rebuild.job import Job, run_job, secrets_from_bytes
from cosmos.keyring.memory_dumps import keep_secrets_in_memory
from cosmos.nova.templating.secret import Secret
from cosmos.reading import read_bounded


@click.command(hidden=True)
@click.argument("job", type=EXISTING_FILE)
def rebuild_once(job: Path) -> None:
    """Build what JOB describes. `cosmos rebuild` starts this command."""
    found = Job.parse(read_bounded(job), str(job))
    if found.shuffle:
        _shuffle_listings(found.shuffle)
    secrets: dict[str, Secret] = {}
    if found.secrets:
        keep_secrets_in_memory()
        secrets = secrets_from_bytes(sys.stdin.buffer.read())
    run_job(found, own_identity(), own_description(), secrets)


def _shuffle_listings(seed: int) -> None:
    """List folders in another order from now on, as another file system might: in the order of the names' hashes."""
    plain_list, plain_scan = os.listdir, os.scandir

    def place(name: str | bytes) -> bytes:
        return hashlib.sha256(b"%d " % seed + os.fsencode(name)).digest()

    def listed(path: Any = ".") -> list[Any]:
        return sorted(plain_list(path), key=place)

    class Scanned:
        """What `os.scandir` returns, in another order."""

        def __init__(self, path: Any = ".") -> None:
            with plain_scan(path) as entries:
                self._entries = iter(sorted(entries, key=lambda entry: place(entry.name)))

        def __iter__(self) -> Iterator[Any]:
            return self._entries

        def __next__(self) -> Any:
            return next(self._entries)

        def __enter__(self) -> Scanned:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            """Do nothing: all entries were read at once."""

    os.listdir = listed
    os.scandir = Scanned  # type: ignore[assignment]  # it takes the place of a function
