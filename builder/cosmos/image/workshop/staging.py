"""Stage every star and pack its layer, in parallel. Each layer is made only once.

Workers are forked (`ProcessPoolExecutor`). They inherit what was verified, and read each archive from the store, hashed
again. They put a frame into the store as soon as it is compressed, and return records alone: digests and manifests. So
no file's bytes cross a pipe, and each byte is read, hashed, decompressed and compressed once. The builder keeps the
records, many in one file (`Workshop.keep`).

A worker holds one star in memory: at most two times `MAX_CONTENT_IN_MEMORY_BYTES` and its packed frame, and the rest of
a larger star in files without names. It dies with the builder.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import TypeAlias

from cosmos.child import die_with
from cosmos.digest import Digest
from cosmos.errors import WorldFailed, of_star
from cosmos.image.workshop.layers import Layers, Made, StarLayer, Workshop
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.records import dataclass
from cosmos.store.interface import settling

Keys: TypeAlias = Mapping[StarName, Digest]


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedLayers:
    """Every star's layer in lock order, and the workshop that has them. `made` says why a layer had to be made.

    `twice` are those of them that were made twice, because their scripts ran programs.
    """

    workshop: Workshop
    layers: Layers
    made: Mapping[StarName, str]
    twice: frozenset[StarName]


def stage_layers(workshop: Workshop, *, jobs: int, reporter: Reporter, judge: Callable[[Layers], None]) -> StagedLayers:
    """Return every star's layer: from the store if it has the layer, else made by one of `jobs` workers.

    `judge` sees the layers found in the store, and then each layer that comes. It raises to stop.
    """
    layers: dict[StarName, StarLayer] = {}
    made: dict[StarName, str] = {}
    for name in workshop.acquired:
        if all(star in layers for star in workshop.seen_by(name)):
            _find(workshop, name, layers, made)
    stars = len(workshop.acquired)
    reporter.step(f"stage {counted(stars, 'star')}, {len(layers)} of them from the store")
    judge(layers)
    at_once = max(jobs, 1) if stars - len(layers) > 1 else 1
    with settling(workshop.store), _workers(workshop, at_once) as submit:
        _make_all(_Lacking(workshop, layers, made), submit, at_once, reporter, judge)
    return StagedLayers(
        workshop=workshop,
        layers={name: layers[name] for name in workshop.acquired},
        made=made,
        twice=frozenset(name for name in made if layers[name].ran_programs and name not in workshop.unsteady),
    )


def _find(workshop: Workshop, name: StarName, layers: dict[StarName, StarLayer], made: dict[StarName, str]) -> None:
    """Look for a star's layer in the store. If the store has no such layer, the reason goes into `made`.

    The layers that its script can see are in `layers`.
    """
    found = workshop.find(name, layers)
    if isinstance(found, StarLayer):
        layers[name] = found
    else:
        made[name] = found


class _Lacking:
    """The stars whose layers are lacking. The biggest is made first, each after the layers that its script can see.

    If a star's dependencies had to be made, the star's layer is searched for again: the new layers may be the same in
    every place that its script read. A record that a worker made waits in this process, where no other worker finds it,
    until it is settled. Settling writes a file, so it is done when nothing else could be made.
    """

    def __init__(self, workshop: Workshop, layers: dict[StarName, StarLayer], made: dict[StarName, str]) -> None:
        self.workshop, self.layers, self._made = workshop, layers, made
        self._sizes = {name: one.star.unpacked_bytes for name, one in workshop.acquired.items() if name not in layers}
        self.total_bytes, self.done_bytes = sum(self._sizes.values()), 0
        self._above: dict[StarName, list[StarName]] = {}
        self._below: dict[StarName, int] = {}  # how many of the layers that its script can see are lacking
        self._ready: list[tuple[int, StarName]] = []
        self._held: list[StarName] = []  # those that need a record that is not settled
        self._unsettled: set[StarName] = set()
        for name in self._sizes:
            below = [star for star in workshop.seen_by(name) if star in self._sizes]
            self._below[name] = len(below)
            for star in below:
                self._above.setdefault(star, []).append(name)
            if not below:
                self._push(name)

    def next(self) -> StarName | None:
        """Return a star whose layer can be made now, or None."""
        if not self._ready and self._held:
            self.workshop.store.settle()
            self._unsettled.clear()
            for name in self._held:
                self._push(name)
            self._held.clear()
        return heappop(self._ready)[1] if self._ready else None

    def came(self, name: StarName, made: Made) -> dict[StarName, StarLayer]:
        """Keep the layer of `name`, and return it and those above it that the store has now."""
        self.layers[name] = self.workshop.keep(name, made)
        self._unsettled.add(name)
        came = [name]
        for star in came:  # it grows meanwhile
            self.done_bytes += self._sizes[star]
            for above in self._above.get(star, ()):
                self._below[above] -= 1
                if self._below[above] == 0:
                    self._look_for(above)
                    if above in self.layers:
                        came.append(above)
        return {star: self.layers[star] for star in came}

    def _look_for(self, name: StarName) -> None:
        with of_star(name):
            _find(self.workshop, name, self.layers, self._made)
        if name not in self.layers:
            if self._unsettled.isdisjoint(self.workshop.seen_by(name)):
                self._push(name)
            else:
                self._held.append(name)

    def _push(self, name: StarName) -> None:
        heappush(self._ready, (-self._sizes[name], name))


def _make_all(
    lacking: _Lacking,
    submit: Callable[[StarName, Layers], Future[Made]],
    at_once: int,
    reporter: Reporter,
    judge: Callable[[Layers], None],
) -> None:
    """Make the missing layers. No more than `at_once` are under way, so that `judge` can stop the rest."""
    running: dict[Future[Made], StarName] = {}
    while True:
        while len(running) < at_once and (name := lacking.next()) is not None:
            reporter.progress(f"stage {name}", lacking.done_bytes, lacking.total_bytes, "bytes")
            with of_star(name):
                below = {star: lacking.layers[star] for star in lacking.workshop.seen_by(name)}
                running[submit(name, below)] = name
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name = running.pop(future)
            with of_star(name):
                new = lacking.came(name, future.result())
            judge(new)
            reporter.progress(f"staged {name}", lacking.done_bytes, lacking.total_bytes, "bytes")


@contextmanager
def _workers(workshop: Workshop, jobs: int) -> Iterator[Callable[[StarName, Layers], Future[Made]]]:
    if jobs <= 1:

        def inline(name: StarName, layers: Layers) -> Future[Made]:
            future: Future[Made] = Future()
            future.set_result(workshop.make(name, layers))
            return future

        yield inline
        return
    import multiprocessing  # takes as long as to read fifty layers, and one layer needs no workers
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

    fork = multiprocessing.get_context("fork")  # initargs are inherited, not pickled
    with ProcessPoolExecutor(jobs, mp_context=fork, initializer=_enter, initargs=(workshop, os.getpid())) as pool:
        try:
            yield lambda name, layers: pool.submit(_work, name, {star: layer.key for star, layer in layers.items()})
        except BrokenProcessPool as error:
            hint = "perhaps for lack of memory; fewer at once take less: --jobs 1"
            raise WorldFailed("the build", "one of its workers was ended from outside", hint=hint) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_shared: list[Workshop] = []  # a worker's own; empty in the builder
_known: dict[Digest, StarLayer] = {}  # a worker's own: the layers that it has read so far


def _enter(workshop: Workshop, builder: int) -> None:
    die_with(builder)
    gc.freeze()  # what a worker inherits lives as long as the worker: to look through it would copy its pages
    _shared.append(workshop)


def _work(name: StarName, keys: Keys) -> Made:
    workshop = _shared[0]
    for star, key in keys.items():
        if key not in _known:
            _known[key] = _loaded(workshop, star, key)
    return workshop.make(name, {star: _known[key] for star, key in keys.items()})


def _loaded(workshop: Workshop, name: StarName, key: Digest) -> StarLayer:
    layer = workshop.load(key)
    if layer is None:
        raise RuntimeError(f"{name} was staged, but the store lost it")
    return layer
