"""One rebuild in a process of its own: what it is given, as a JSON file, and the build.

The process is started under the circumstances that are tried. It has no network and no galaxy: everything that the lock
names lies in the store `lower`, fetched and verified before. The values of secret variables come through its
stdin, as a JSON object by name, and lie in no file. After the build, `layers.json` beside the release names the key of
each star's layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from cosmos.canon import Json, canonical_json, readable_json
from cosmos.digest import Digest
from cosmos.image.definition import read_definition
from cosmos.image.flow import Built, build_image
from cosmos.image.preflight import BuildOptions
from cosmos.image.rebuild.world import RebuildWorld
from cosmos.limits import MAX_RECEIPTS_BYTES
from cosmos.model.release import Builder
from cosmos.model.reporter import Silent
from cosmos.nova.templating.secret import Secret
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.tables import Table

LAYERS_FILE: Final = "layers.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A rebuild: where its definition, home and stores are, and where the release goes.

    `shuffle` is a seed that sets the order in which folders are listed, 0 for the order of the file system. `secrets`
    are the names of the secret variables whose values come through stdin.
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
    secrets: tuple[str, ...] = ()

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
            secrets=table.strings("secrets"),
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
                "secrets": list(self.secrets),
            }
        )


def secrets_to_bytes(secrets: Mapping[str, Secret]) -> bytes:
    """Return what a job reads from its stdin."""
    return canonical_json({name: secret.revealed() for name, secret in secrets.items()}) if secrets else b""


def secrets_from_bytes(data: bytes) -> dict[str, Secret]:
    """Return the values in `data`. Raises `Malformed`."""
    table = Table.from_json(data, "stdin")
    return {name: Secret(table.need(name, str), [name]) for name in tuple(table.keys())}


def run_job(job: Job, identity: str, builder: Builder, secrets: Mapping[str, Secret]) -> Built:
    """Build the release of `job` as this program, the `builder`. Raises what `build_image` raises."""
    world = RebuildWorld(home=job.home, offline=True, reporter=Silent(), upper=job.upper, lower=job.lower)
    options = BuildOptions(
        out=job.out,
        jobs=job.jobs,
        identity=identity,
        builder=builder,
        level=job.level,
        accept_revoked=frozenset(job.accepted),
        secrets=secrets,
    )
    built = build_image(read_definition(job.definition), world, options)
    layers: dict[str, Json] = {str(star): str(key) for star, key in built.layers.items()}
    (job.out.parent / LAYERS_FILE).write_bytes(readable_json(layers))
    return built


def read_layers(file: Path) -> dict[str, Digest]:
    """Return the key of each star's layer, as `run_job` wrote them. Raises `Malformed`."""
    table = Table.from_json(read_bounded(file, MAX_RECEIPTS_BYTES), str(file))
    return {star: table.read(star, Digest.parse) for star in tuple(table.keys())}
