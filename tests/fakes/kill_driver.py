"""Publish many times, each time killed with SIGKILL before another step that changes a file; report what readers find.

    python kill_driver.py FOLDER SCENARIO     -> JSON: {"steps": N, "rows": [{"after": …, "again": …}, …]}

It is a separate program, because it forks: the child that publishes kills itself in the middle of its work. Its steps
are the events of Python's audit hook: to open a file for writing, to rename, to remove, to truncate.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosmos.errors import CosmosError
from cosmos.model.image import GalaxySource
from cosmos.model.reporter import Silent
from cosmos.staging.acquire import verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import Source
from cosmos.stellar.add_star import add_star
from cosmos.stellar.attest import attest_star
from cosmos.stellar.build_star import BuiltStar
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import index_galaxy, sign_galaxy
from cosmos.stellar.log import append_to_log, check_log
from cosmos.store.blobs import StoreFolder
from cosmos.transport.local import LocalCarrier
from cosmos.trust.badges import BADGES_SUFFIX, judge_badges
from cosmos.trust.galaxies import read_catalogue
from fakes.publishing import NAME, TODAY, attester, author, built, galaxy_key, log_key, roots

Work = Callable[[GalaxyFolder], object]


def seen(galaxy: GalaxyFolder) -> str:
    """Return a reader's view: the index with catalogue, statements and archives verified, or the refusal."""
    store = StoreFolder(galaxy.root.parent / "reader-store")
    source = Source(galaxy=NAME, carrier=LocalCarrier(galaxy.root), store=store)
    asked = GalaxySource(name=NAME, url="x", allow_unsigned=False)
    try:
        index = verified_index(source.newest_index(), source, roots(), allow_unsigned=False)
        opened = OpenGalaxy(asked, source, index, roots())
        if index.index.catalogue is not None:
            read_catalogue(source.catalogue(index.index.catalogue), index, "catalogue")
        for name in opened.names():
            for candidate in opened.versions(name):
                star = opened.pinned(candidate, (), ())
                source.archive(star, lambda _done: None)
    except CosmosError as error:
        return f"refused: {error}"
    return f"seq {index.index.seq}: {' '.join(row.stem for row in index.index.snapshot)}"


def logged(galaxy: GalaxyFolder) -> str:
    """Return whether the log is consistent, and the size of its head."""
    try:
        checked = check_log(galaxy, roots(), None)
    except CosmosError as error:
        return f"{seen(galaxy)}, log: {error.problem.split(':')[0]}"
    return f"{seen(galaxy)}, log {checked.head.head.size}"


def badges(galaxy: GalaxyFolder) -> str:
    """Return how many badges of the first star count."""
    row = galaxy.index().snapshot[0]
    file = galaxy.statement_file(row.stem).with_name(f"{row.stem}{BADGES_SUFFIX}")
    data = file.read_bytes() if file.is_file() else b""
    found = judge_badges(data, digest=row.archive, roots=roots(), source="x")
    return " ".join(badge.standing for badge in found) or "none"


def index(galaxy: GalaxyFolder) -> object:
    """Index and sign."""
    return index_galaxy(galaxy, authors=[author()], galaxies=[galaxy_key()], today=TODAY, reporter=Silent())


def index_unsigned_and_sign(galaxy: GalaxyFolder) -> object:
    """Index on one machine, and sign on another."""
    index_galaxy(galaxy, authors=[author()], galaxies=[], today=TODAY, reporter=Silent())
    return sign_galaxy(galaxy, authors=[], galaxies=[galaxy_key()], reporter=Silent())


def prepared(galaxy: GalaxyFolder, *stars: BuiltStar) -> None:
    """Publish the first star, and put the others there unpublished."""
    init_galaxy(galaxy.root, NAME, "", TODAY)
    add_star(galaxy, built("first"), [author()])
    index(galaxy)
    for star in stars:
        add_star(galaxy, star, [author()])


def _attest(galaxy: GalaxyFolder) -> object:
    file = galaxy.statement_file(galaxy.index().snapshot[0].stem)
    return attest_star(file, "test", "PASSED", attester(), Silent())


def _begin(galaxy: GalaxyFolder) -> None:
    if not galaxy.index_file.exists():
        init_galaxy(galaxy.root, NAME, "", TODAY)
    add_star(galaxy, built("first"), [author()])
    index(galaxy)


SCENARIOS: dict[str, tuple[Callable[[GalaxyFolder], None], Work, Callable[[GalaxyFolder], str]]] = {
    "begin": (lambda galaxy: None, _begin, seen),
    "index": (lambda galaxy: prepared(galaxy, built("second"), built("third", arch="x86_64")), index, seen),
    "build-star": (prepared, lambda galaxy: add_star(galaxy, built("second"), [author()]), seen),
    "sign": (lambda galaxy: prepared(galaxy, built("second")), index_unsigned_and_sign, seen),
    "log": (prepared, lambda galaxy: append_to_log(galaxy, [log_key()], Silent()), logged),
    "attest": (prepared, _attest, badges),
}


def run(work: Work, galaxy: GalaxyFolder, kill_at: int) -> int:
    """Do the work in a child that is killed before its step `kill_at`; return how many steps it took, 0 if killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        steps = 0

        def step(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal steps
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in ("os.rename", "os.remove", "os.mkdir", "os.truncate"):
                steps += 1
                if steps == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(step)
        work(galaxy)
        os.write(writer, steps.to_bytes(4, "big"))
        os._exit(0)
    os.close(writer)
    told = os.read(reader, 4)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if told else -signal.SIGKILL), status
    return int.from_bytes(told, "big")


def main(folder: Path, scenario: str) -> None:
    """Kill at every step of the scenario."""
    prepare, work, look = SCENARIOS[scenario]
    before = GalaxyFolder(root=folder / "before")
    prepare(before)
    whole = GalaxyFolder(root=folder / "whole")
    if before.root.exists():
        shutil.copytree(before.root, whole.root)
    steps = run(work, whole, 0)
    rows = []
    for place in range(1, steps + 1):
        galaxy = GalaxyFolder(root=folder / f"at-{place}")
        if before.root.exists():
            shutil.copytree(before.root, galaxy.root)
        assert run(work, galaxy, place) == 0
        after = look(galaxy) if galaxy.index_file.exists() else "no galaxy"
        work(galaxy)
        rows.append({"after": after, "again": look(galaxy)})
        shutil.rmtree(galaxy.root)
    old = look(before) if before.root.exists() else "no galaxy"
    sys.stdout.write(json.dumps({"steps": steps, "old": old, "new": look(whole), "rows": rows}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
