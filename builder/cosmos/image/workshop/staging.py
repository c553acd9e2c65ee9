"""Stage every star and pack its layer, in parallel. Each layer is made only once.

Workers are forked (`ProcessPoolExecutor`). They inherit what was verified, and read each archive from the store, hashed
again. They put a frame into the store as soon as it is compressed, and return records alone: digests and manifests. So
no file's bytes cross a pipe, and each byte is read, hashed, decompressed and compressed once. The builder keeps the
records, many in one file (`Workshop.keep`).

A worker holds one star in memory: at most two times `MAX_CONTENT_IN_MEMORY_BYTES` and its packed frame, and the rest of
a larger star in files without names. It dies with the builder.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
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

    `judge` sees the layers found in the store, and again all layers after each one that was made. It raises to stop.
    """
    layers: dict[StarName, StarLayer] = {}
    made: dict[StarName, str] = {}
    for name in workshop.acquired:
        _find(workshop, name, layers, made)
    stars = len(workshop.acquired)
    reporter.step(f"stage {counted(stars, 'star')}, {len(layers)} of them from the store")
    judge(layers)
    at_once = max(jobs, 1) if stars - len(layers) > 1 else 1
    with settling(workshop.store), _workers(workshop, at_once) as submit:
        _make_all(workshop, layers, made, submit, at_once, reporter, judge)
    return StagedLayers(
        workshop=workshop,
        layers={name: layers[name] for name in workshop.acquired},
        made=made,
        twice=frozenset(name for name in made if layers[name].ran_programs and name not in workshop.unsteady),
    )


def _find(workshop: Workshop, name: StarName, layers: dict[StarName, StarLayer], made: dict[StarName, str]) -> bool:
    """Look for a star's layer in the store, and return whether its dependencies are known, so that it could be judged.

    If the store has no such layer, the reason goes into `made`.
    """
    if not all(star in layers for star in workshop.seen_by(name)):
        return False
    found = workshop.find(name, layers)
    if isinstance(found, StarLayer):
        layers[name] = found
    else:
        made[name] = found
    return True


def _make_all(
    workshop: Workshop,
    layers: dict[StarName, StarLayer],
    made: dict[StarName, str],
    submit: Callable[[StarName, Layers], Future[Made]],
    at_once: int,
    reporter: Reporter,
    judge: Callable[[Layers], None],
) -> None:
    """Make the missing layers, the biggest first, each after the layers that its script can see.

    If a star's dependencies had to be made, the star's layer is searched for again: the new layers may be the same in
    every place that its script read. No more than `at_once` are under way, so that `judge` can stop the rest.
    """
    sizes = {name: one.star.unpacked_bytes for name, one in workshop.acquired.items() if name not in layers}
    todo = sorted(sizes, key=lambda name: -sizes[name])
    running: dict[Future[Made], StarName] = {}
    unsettled: set[StarName] = set()  # their records wait in this process: no worker would find them
    while todo or running:
        for name in [name for name in todo if name in made or _find(workshop, name, layers, made)]:
            if name in made and len(running) == at_once:
                continue
            todo.remove(name)
            if name in made:
                below = workshop.seen_by(name)
                if not unsettled.isdisjoint(below):
                    workshop.store.settle()
                    unsettled.clear()
                reporter.progress(f"stage {name}", _done(sizes, layers), sum(sizes.values()), "bytes")
                with of_star(name):
                    running[submit(name, {star: layers[star] for star in below})] = name
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name = running.pop(future)
            with of_star(name):
                layers[name] = workshop.keep(name, future.result())
            unsettled.add(name)
            judge(layers)
            reporter.progress(f"staged {name}", _done(sizes, layers), sum(sizes.values()), "bytes")


def _done(sizes: Mapping[StarName, int], layers: Layers) -> int:
    """Return how much of what was missing is there: its unpacked bytes, which say more of the time than its stars."""
    return sum(size for name, size in sizes.items() if name in layers)


@contextmanager
def _workers(workshop: Workshop, jobs: int) -> Iterator[Callable[[StarName, Layers], Future[Made]]]:
    if jobs <= 1:

        def inline(name: StarName, layers: Layers) -> Future[Made]:
            future: Future[Made] = Future()
            future.set_result(workshop.make(name, layers))
            return future

        yield inline
        return
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
