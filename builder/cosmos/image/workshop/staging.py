"""Stage every star and pack its layer, in parallel. Each layer is made only once.

Workers are forked (`ProcessPoolExecutor`). They inherit what was verified, and read each archive from the store, hashed
again. They put a frame into the store as soon as it is compressed, and return records alone: digests and manifests. So
no file's bytes cross a pipe, and each byte is read, hashed, decompressed and compressed once. The builder keeps the
records, many in one file (`Workshop.keep`). A worker gets one star, or several small ones.

A worker holds one star in memory: at most two times `MAX_CONTENT_IN_MEMORY_BYTES` and its packed frame, and the rest of
a larger star in files without names. It dies with the builder.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import chain
from typing import Final, TypeAlias

from cosmos.child import die_with
from cosmos.digest import Digest
from cosmos.errors import WorldFailed, of_star
from cosmos.image.workshop.layers import Layers, Made, StarLayer, Workshop
from cosmos.limits import COLLECT_AFTER_OBJECTS, COLLECT_OLDER_AFTER, MIB
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.records import dataclass
from cosmos.store.interface import settling

Keys: TypeAlias = Mapping[StarName, Digest]
Submit: TypeAlias = Callable[[Mapping[StarName, Layers]], Future[list[Made]]]

_TOGETHER: Final = 16  # small stars that a worker makes before it answers: a question and its answer take a millisecond
_TOGETHER_BYTES: Final = 1 * MIB  # of their files


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
    at_once = max(1, min(jobs, stars - len(layers)))  # all workers are forked before the first has something to do
    with settling(workshop.store), _workers(workshop, at_once) as submit:
        _make_all(_Lacking(workshop, layers, made, at_once), submit, reporter, judge)
    may_run = (name for name in made if workshop.consent.gives(name, "run") and name not in workshop.unsteady)
    return StagedLayers(
        workshop=workshop,
        layers={name: layers[name] for name in workshop.acquired},
        made=made,
        twice=frozenset(name for name in may_run if layers[name].ran_programs),
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
    until it is settled. Settling writes a file, so it is done when nothing else could be made, and not at all for one
    worker, which is this process.
    """

    def __init__(
        self, workshop: Workshop, layers: dict[StarName, StarLayer], made: dict[StarName, str], workers: int
    ) -> None:
        self.workshop, self.layers, self._made, self.workers = workshop, layers, made, workers
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

    def next(self) -> list[StarName]:
        """Return a star whose layer can be made now, or several small ones: what one worker makes. Or none."""
        if not self._ready and self._held:
            self.workshop.store.settle()
            self._unsettled.clear()
            for name in self._held:
                self._push(name)
            self._held.clear()
        if not self._ready:
            return []
        share = len(self._ready) // (2 * self.workers) + 1  # of the last ones, for each worker
        most = 1 if self.workers == 1 else min(_TOGETHER, share)  # this process asks itself at once
        names = [heappop(self._ready)[1]]
        size_bytes = self._sizes[names[0]]
        while len(names) < most and self._ready and size_bytes - self._ready[0][0] <= _TOGETHER_BYTES:
            negative, name = heappop(self._ready)
            size_bytes -= negative
            names.append(name)
        return names

    def came(self, name: StarName, made: Made) -> dict[StarName, StarLayer]:
        """Keep the layer of `name`, and return it and those above it that the store has now."""
        self.layers[name] = self.workshop.keep(name, made)
        if self.workers > 1:
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


def _make_all(lacking: _Lacking, submit: Submit, reporter: Reporter, judge: Callable[[Layers], None]) -> None:
    """Make the missing layers. A worker is asked for no more than it makes now, so that `judge` can stop the rest."""
    running: dict[Future[list[Made]], list[StarName]] = {}
    while True:
        while len(running) < lacking.workers and (names := lacking.next()):
            reporter.progress(f"stage {names[0]}", lacking.done_bytes, lacking.total_bytes, "bytes")
            below = {name: {star: lacking.layers[star] for star in lacking.workshop.seen_by(name)} for name in names}
            running[submit(below)] = names
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            for name, made in zip(running.pop(future), future.result(), strict=True):
                with of_star(name):
                    new = lacking.came(name, made)
                judge(new)
                reporter.progress(f"staged {name}", lacking.done_bytes, lacking.total_bytes, "bytes")


@contextmanager
def _workers(workshop: Workshop, jobs: int) -> Iterator[Submit]:
    if jobs <= 1:

        def inline(stars: Mapping[StarName, Layers]) -> Future[list[Made]]:
            future: Future[list[Made]] = Future()
            future.set_result([_made(workshop, name, layers) for name, layers in stars.items()])
            return future

        yield inline
        return
    import multiprocessing  # takes as long as to read fifty layers, and one layer needs no workers
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

    fork = multiprocessing.get_context("fork")  # initargs are inherited, not pickled
    with ProcessPoolExecutor(jobs, mp_context=fork, initializer=_enter, initargs=(workshop, os.getpid())) as pool:
        try:
            yield lambda stars: pool.submit(_work, [(name, _keys(layers)) for name, layers in stars.items()])
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
    gc.set_threshold(COLLECT_AFTER_OBJECTS, *COLLECT_OLDER_AFTER)  # the builder may collect less often
    gc.freeze()  # what a worker inherits lives as long as the worker: to look through it would copy its pages
    _shared.append(workshop)


def _work(stars: Iterable[tuple[StarName, Keys]]) -> list[Made]:
    workshop = _shared[0]
    for star, key in chain.from_iterable(keys.items() for _, keys in stars):
        if key not in _known:
            _known[key] = _loaded(workshop, star, key)
    with settling(workshop.store):  # the builder reads their frames
        return [_made(workshop, name, {star: _known[key] for star, key in keys.items()}) for name, keys in stars]


def _made(workshop: Workshop, name: StarName, layers: Layers) -> Made:
    with of_star(name):
        return workshop.make(name, layers)


def _keys(layers: Layers) -> Keys:
    return {star: layer.key for star, layer in layers.items()}


def _loaded(workshop: Workshop, name: StarName, key: Digest) -> StarLayer:
    layer = workshop.load(key)
    if layer is None:
        raise RuntimeError(f"{name} was staged, but the store lost it")
    return layer
