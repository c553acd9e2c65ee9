"""Stage every star and pack its layer, in parallel, each at most once ever.

What a star's layer holds is decided by its *layer key*: the digest of everything that shaped it (its archive, its
script, the epoch, the merged folders, the layers that its script could see, and this program's own code). The store
remembers per key the layer's manifest and receipt, and per key, level and zstd version the packed frame.

Workers are forked (`ProcessPoolExecutor`): they inherit what was verified and hand their results back through the
store, so that no large value crosses a pipe. One star's bytes are in a worker's memory at a time.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cosmos.canon import Json, canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.nova.bubble import Bubble, star_tools, tools_digest
from cosmos.nova.probe import demand_sandbox
from cosmos.pack.image_file import LAYER_FORMAT, PackedLayer, pack_layer
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.staging.acquire import Acquired
from cosmos.staging.stage import Ground, StagedStar, stage_star
from cosmos.store.blobs import Store
from cosmos.tables import Table
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, manifest, parse_manifest
from cosmos.tree.overlay import PathMap
from cosmos.treepath import TreePath

_RUN_SECONDS: Final = 600  # of one program at installation; what takes longer belongs into build()


class Unread(bytes):
    """Stands for the bytes of a file in a packed layer: empty here, read from the layer when they are needed."""

    __slots__ = ()


UNREAD = Unread()


@dataclass(frozen=True, kw_only=True, slots=True)
class StarLayer:
    """One star's layer: what it holds. Its frame is in the store under `Workshop.packed`."""

    key: Digest
    lines: tuple[ManifestLine, ...]
    receipt: Json

    def entries(self) -> dict[TreePath, Entry]:
        """Return the layer's entries without the files' bytes (`UNREAD`)."""
        return {line.path: entry_without_bytes(line) for line in self.lines}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """All that staging the stars of one image needs; the same in every worker.

    `identity` is this program's code. `may_run`: the stars whose scripts the operator lets run programs.
    """

    store: Store
    acquired: Mapping[StarName, Acquired]
    epoch: int
    paths: PathMap
    level: int
    identity: str
    may_run: frozenset[StarName] = frozenset()

    def keys(self) -> dict[StarName, Digest]:
        """Return each star's layer key, in lock order."""
        keys: dict[StarName, Digest] = {}
        for name, acquired in self.acquired.items():
            star, manifest_ = acquired.star, acquired.statement.statement.star
            seen = [str(keys[below]) for below in self.below(name)] if star.script else []
            keys[name] = digest_of(
                {
                    "what": "layer",
                    "format": LAYER_FORMAT,
                    "program": self.identity,
                    "star": star.id,
                    "archive": str(star.archive),
                    "script": [manifest_.install_script, str(star.script or "")],
                    "epoch": self.epoch,
                    "links": {top.decode(): folder.text for top, folder in self.paths.links.items()},
                    "below": [*seen],
                    "run": name in self.may_run,
                }
            )
        return keys

    def below(self, name: StarName) -> tuple[StarName, ...]:
        """Return all that `name` depends on, directly or not, in lock order."""
        wanted = {name}
        for star in reversed(tuple(self.acquired)):
            if star in wanted:
                wanted.update(self.acquired[star].star.dependencies)
        return tuple(star for star in self.acquired if star in wanted and star != name)

    def load(self, key: Digest) -> StarLayer | None:
        """Return the layer that the store remembers for `key`."""
        record = self.store.get_result(key)
        if record is None:
            return None
        table = Table.from_json(record, f"the store's record of layer {key.short}")
        lines = parse_manifest(table.need("manifest", str).encode(), table.source)
        return StarLayer(key=key, lines=lines, receipt=_json(table.value("receipt")))

    def packed(self, name: StarName, key: Digest, dropped: frozenset[TreePath]) -> PackedLayer:
        """Return the packed frame of a layer less the paths that others own, making it if the store has none."""
        kept = self._kept(key, dropped)
        return kept if kept is not None else self._pack(name, key, self._staged(name, self.keys()).entries, dropped)

    def make(self, name: StarName, keys: Mapping[StarName, Digest]) -> None:
        """Stage one star and leave its manifest, receipt and frame in the store."""
        staged = self._staged(name, keys)
        self._pack(name, keys[name], staged.entries, frozenset())
        lines = [ManifestLine.of(entry) for entry in staged.entries.values()]
        record: Json = {"manifest": manifest(lines).decode(), "receipt": staged.receipt}
        self.store.put_result(keys[name], canonical_json(record))

    def _staged(self, name: StarName, keys: Mapping[StarName, Digest]) -> StagedStar:
        acquired = self.acquired[name]
        below: dict[TreePath, Entry] = {}
        for star in self.below(name) if acquired.star.script else ():
            layer = self.load(keys[star])
            if layer is None:
                raise RuntimeError(f"{star} was to be staged before {name}")
            below |= layer.entries()
        programs = self._programs(name, keys) if name in self.may_run else None
        ground = Ground(epoch=self.epoch, paths=self.paths, below=below, programs=programs)
        return stage_star(acquired.archive(), acquired.statement, ground)

    def _programs(self, name: StarName, keys: Mapping[StarName, Digest]) -> Bubble:
        """Return what runs programs for `name`: those of the verified stars that it depends on, and nothing else."""

        links = [
            Entry(path=TreePath(top), kind="symlink", mode=0o777, target=bytes(folder))
            for top, folder in self.paths.links.items()
        ]
        stars = self.below(name)

        def files() -> Iterator[Entry]:
            yield from links
            for star in stars:
                yield from self.packed(star, keys[star], frozenset()).entries()

        def lines() -> Iterator[ManifestLine]:
            yield from map(ManifestLine.of, links)
            for star in stars:
                layer = self.load(keys[star])
                if layer is None:
                    raise RuntimeError(f"{star} was to be staged before {name}")
                yield from layer.lines

        tools = star_tools(files, tools_digest(lines()))
        return Bubble(tools=tools, epoch=self.epoch, timeout_seconds=_RUN_SECONDS, where=str(name))

    def _pack(
        self, name: StarName, key: Digest, entries: Mapping[TreePath, Entry], dropped: frozenset[TreePath]
    ) -> PackedLayer:
        kept = [entry for entry in entries.values() if entry.kind != "dir" and entry.path not in dropped]
        packed = pack_layer(self.acquired[name].star.id, kept, self.level)
        self.store.put_made(self._frame_key(key, dropped), packed.to_bytes())
        return packed

    def _kept(self, key: Digest, dropped: frozenset[TreePath]) -> PackedLayer | None:
        data = self.store.get_made(self._frame_key(key, dropped))
        return None if data is None else PackedLayer.from_bytes(data)

    def _frame_key(self, key: Digest, dropped: frozenset[TreePath]) -> Digest:
        return digest_of(
            {
                "what": "frame",
                "layer": str(key),
                "level": self.level,
                "zstd": ZSTD_VERSION,
                "dropped": [path.text for path in sorted(dropped)],
            }
        )


def stage_layers(workshop: Workshop, *, jobs: int, reporter: Reporter) -> dict[StarName, StarLayer]:
    """Return every star's layer in lock order; what the store has is reused, the rest is made with `jobs` workers."""
    demand_sandbox()  # fail closed: before the first script, and before the workers are forked
    keys = workshop.keys()
    layers = {name: workshop.load(key) for name, key in keys.items()}
    missing = [name for name, layer in layers.items() if layer is None]
    reporter.step(f"stage {counted(len(keys), 'star')}, {len(keys) - len(missing)} of them from the store")
    with _workers(workshop, keys, jobs if len(missing) > 1 else 1) as submit:
        _make_all(workshop, missing, submit, reporter)
    done: dict[StarName, StarLayer] = {}
    for name, key in keys.items():
        layer = layers[name] or workshop.load(key)
        if layer is None:
            raise RuntimeError(f"{name} was staged, but the store lost it")
        done[name] = layer
    return done


def _make_all(
    workshop: Workshop, missing: list[StarName], submit: Callable[[StarName], Future[None]], reporter: Reporter
) -> None:
    """Make the missing layers, biggest first, each after those that its script can see."""
    todo = sorted(missing, key=lambda name: -workshop.acquired[name].star.unpacked_bytes)
    running: dict[Future[None], StarName] = {}
    made: set[StarName] = set()
    while todo or running:
        for name in list(todo):
            needed = workshop.below(name) if workshop.acquired[name].star.script else ()
            if all(star not in missing or star in made for star in needed):
                running[submit(name)] = name
                todo.remove(name)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name = running.pop(future)
            future.result()
            made.add(name)
            reporter.progress(f"staged {name}", len(made), len(missing))


@contextmanager
def _workers(
    workshop: Workshop, keys: Mapping[StarName, Digest], jobs: int
) -> Iterator[Callable[[StarName], Future[None]]]:
    if jobs <= 1:

        def inline(name: StarName) -> Future[None]:
            future: Future[None] = Future()
            workshop.make(name, keys)
            future.set_result(None)
            return future

        yield inline
        return
    fork = multiprocessing.get_context("fork")  # initargs are inherited, not pickled
    with ProcessPoolExecutor(jobs, mp_context=fork, initializer=_enter, initargs=(workshop, keys)) as pool:
        try:
            yield lambda name: pool.submit(_work, name)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_bench: list[tuple[Workshop, Mapping[StarName, Digest]]] = []  # a worker's own; empty in the builder


def _enter(workshop: Workshop, keys: Mapping[StarName, Digest]) -> None:
    _bench.append((workshop, keys))


def _work(name: StarName) -> None:
    workshop, keys = _bench[0]
    workshop.make(name, keys)


def entry_without_bytes(line: ManifestLine) -> Entry:
    """Return the entry that `line` states, with `UNREAD` where a file's bytes would be."""
    return Entry(
        path=line.path,
        kind=line.kind,
        mode=line.mode,
        uid=line.uid,
        gid=line.gid,
        content=UNREAD,
        target=line.target,
        rdev=line.rdev,
        xattrs=line.xattrs,
    )


def _json(value: object) -> Json:
    if value is None or isinstance(value, (bool, int, str, list, dict)):
        return value
    raise Malformed("the store's record", "holds a value that JSON has not")
