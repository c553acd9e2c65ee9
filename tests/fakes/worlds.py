"""A world in memory for the main flow: galaxies, store, keys and releases. It opens no file and no socket.

world = MemoryWorld(signers)
world.galaxies["core"] = MemoryCarrier(galaxy_files("core", [StarSpec("zlib")], signers))
definition = memory_definition(stars={"zlib": "*"})
freeze(definition, world)
build_image(definition, world, memory_options())
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.errors import NoSolution, WorldFailed
from cosmos.image.definition import Definition
from cosmos.image.outputs.formats import read_outputs
from cosmos.image.preflight import BuildOptions
from cosmos.image.template import TemplateFiles
from cosmos.model.image import Image
from cosmos.model.lock import Lock, LockedTrust
from cosmos.model.names import GalaxyName
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE
from cosmos.model.reporter import Reporter
from cosmos.release.draft import Published, Written
from cosmos.staging.source import Source
from cosmos.store.sealed import Seal, SealedStore
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust.dsse import is_envelope_of
from cosmos.trust.memory import Memory
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.roots import TrustRoots
from fakes.builders import BUILDER
from fakes.carriers import MemoryCarrier
from fakes.galaxies import Signers
from fakes.reporters import Remembering
from fakes.stores import MemoryStore

EPOCH = 1_700_000_000
OUT = Path(tempfile.gettempdir(), f"nowhere-{os.getpid()}", "image", "out")  # any user may make it; nobody does
TEMPLATE = TemplateFiles(
    name="template",
    declarations=b"merged-usr = true\n",
    files={
        entry.path: entry
        for entry in (
            Entry(path=TreePath(b"etc"), kind="dir", mode=0o755),
            Entry(path=TreePath(b"etc/hostname.j2"), kind="file", mode=0o644, content=b"{{ image.name }}\n"),
        )
    },
)


class MemoryDraft:
    """A release in a mapping. Publishing puts it into `releases`."""

    def __init__(self, releases: dict[Path, dict[str, bytes]], out: Path) -> None:
        self._releases = releases
        self._out = out
        self._data: dict[str, bytes] = {}
        self._written: dict[str, Written] = {}
        self.modes: dict[str, int] = {}

    @property
    def files(self) -> Mapping[str, Written]:
        return self._written

    def write(self, name: str, pieces: Iterable[bytes | memoryview], mode: int = 0o644) -> None:
        data = b"".join(bytes(piece) for piece in pieces)
        self._data[name] = data
        self.modes[name] = mode
        self._written[name] = Written(digest=Digest.of(data), size_bytes=len(data))

    def publish(self, reporter: Reporter) -> Published:
        there = self._releases.get(self._out, {})
        stays = RELEASE_ENVELOPE in there and RELEASE_ENVELOPE not in self._data
        loses = stays and is_envelope_of(IN_TOTO_TYPE, there.get(RELEASE_FILE, b""), there[RELEASE_ENVELOPE])
        same = {name: data for name, data in there.items() if not (loses and name == RELEASE_ENVELOPE)}
        if there and same == self._data:
            return Published(changed=False, signed=RELEASE_ENVELOPE in there)
        if loses:
            reporter.warn(f"{self._out}: an unsigned release replaces the signed one")
        elif stays:
            reporter.warn(f"{self._out}/{RELEASE_ENVELOPE}: signs another {RELEASE_FILE} or nothing, and was removed")
        if there and RELEASE_FILE not in there:
            raise WorldFailed(str(self._out), "is not empty and is not a release")
        self._releases[self._out] = dict(self._data)
        return Published(changed=True, signed=RELEASE_ENVELOPE in self._data)


class MemoryWorld:
    """The outside world of a build, in memory. `releases` are the published releases, by place and file name;
    `drafts` every release that was begun."""

    def __init__(self, signers: Signers, *, offline: bool = False) -> None:
        self.signers = signers
        self.offline = offline
        self.reporter = Remembering()
        self.store = MemoryStore()
        self.made = SealedStore(self.store, Seal(b"the key of this home"))
        self.pinned = signers.roots()
        self.memory = Memory()
        self.galaxies: dict[str, MemoryCarrier] = {}
        self.locks: dict[Path, tuple[bytes, bytes | None]] = {}
        self.releases: dict[Path, dict[str, bytes]] = {}
        self.drafts: list[MemoryDraft] = []

    @property
    def locked_trust(self) -> LockedTrust:
        return LockedTrust(version=self.pinned.version, digest=Digest.of(b"the pinned keys"))

    def roots(self, *, signed: bool) -> TrustRoots:
        return self.pinned

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        return None

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        self.memory = change(self.memory)

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:
        return Source(galaxy=name, carrier=None if self.offline else self.galaxies[name], store=self.store)

    def lock_files(self, definition: Definition) -> tuple[bytes, bytes | None]:
        if definition.folder not in self.locks:
            raise NoSolution(str(definition.lock_file), "is not there")
        return self.locks[definition.folder]

    def write_lock(self, definition: Definition, data: bytes) -> bool:
        before = self.locks.get(definition.folder, (None, None))
        self.locks[definition.folder] = (data, before[1])
        return before[0] != data

    def sandbox(self) -> Mapping[str, Json]:
        return {"nothing": "runs here"}

    def sweep(self, out: Path) -> None:
        self.store.sweep()

    @contextlib.contextmanager
    def draft(self, out: Path) -> Iterator[MemoryDraft]:
        self.drafts.append(MemoryDraft(self.releases, out))
        yield self.drafts[-1]


def memory_definition(*, finish: bytes | None = None, trust: bytes | None = None, **fields: Any) -> Definition:
    """Return an image definition of `fields` (stars, policy, output, …) that lies in no folder."""
    document: dict[str, Any] = {
        "name": "small",
        "version": "1.0.0",
        "arch": "x86_64",
        "template": "./template",
        "source-date-epoch": EPOCH,
        "galaxies": {"core": "memory"},
        **({"finish": "finish.lua"} if finish is not None else {}),
        **({"trust": "trust.toml"} if trust is not None else {}),
        **fields,
    }
    data = tomli_w.dumps(document).encode()
    image = Image.parse(data, "image.toml")
    return Definition(
        folder=OUT.parent,
        image=image,
        data=data,
        outputs=read_outputs(image.outputs, "image.toml"),
        constellation_files={},
        constellations={},
        template=TEMPLATE,
        finish=finish,
        trust=trust,
    )


def memory_options(**fields: Any) -> BuildOptions:
    """Return how to build in memory: with one worker, in this process."""
    return BuildOptions(**{"out": OUT, "jobs": 1, "identity": "the program under test", "builder": BUILDER, **fields})
