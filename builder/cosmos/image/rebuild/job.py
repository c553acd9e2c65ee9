"""One rebuild in a process of its own: what it is given, as a JSON file, and the build.

The process is started under the circumstances that are tried. It has no network and no galaxy: everything that the lock
names lies in the store `lower`, fetched and verified before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cosmos.canon import readable_json
from cosmos.image.definition import read_definition
from cosmos.image.flow import Built, build_image
from cosmos.image.preflight import BuildOptions
from cosmos.image.rebuild.world import RebuildWorld
from cosmos.model.release import Builder
from cosmos.model.reporter import Silent
from cosmos.tables import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A rebuild: where its definition, home and stores are, and where the release goes.

    `shuffle` is a seed that sets the order in which folders are listed, 0 for the order of the file system.
    """

    definition: Path
    home: Path
    upper: Path
    lower: Path
    out: Path
    jobs: int
    level: int
    accepted: tuple[str, ...]
    shuffle: int

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the job in `data`. Raises `Malformed`."""
        table = Table.from_json(data, source)
        job = cls(
            definition=table.read("definition", Path),
            home=table.read("home", Path),
            upper=table.read("upper", Path),
            lower=table.read("lower", Path),
            out=table.read("out", Path),
            jobs=table.count("jobs", least=1),
            level=table.count("level", least=1, most=22),
            accepted=table.strings("accepted"),
            shuffle=table.count("shuffle"),
        )
        table.end()
        return job

    def to_bytes(self) -> bytes:
        """Return the JSON document."""
        return readable_json(
            {
                "definition": str(self.definition),
                "home": str(self.home),
                "upper": str(self.upper),
                "lower": str(self.lower),
                "out": str(self.out),
                "jobs": self.jobs,
                "level": self.level,
                "accepted": list(self.accepted),
                "shuffle": self.shuffle,
            }
        )


def run_job(job: Job, identity: str, builder: Builder) -> Built:
    """Build the release of `job` as this program, the `builder`. Raises what `build_image` raises."""
    world = RebuildWorld(
        home=job.home, offline=True, reporter=Silent(), upper=job.upper, lower=job.lower, base=job.definition
    )
    options = BuildOptions(
        out=job.out,
        jobs=job.jobs,
        identity=identity,
        builder=builder,
        level=job.level,
        accept_revoked=frozenset(job.accepted),
    )
    return build_image(read_definition(job.definition), world, options)
