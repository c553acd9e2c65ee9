"""Stage every star and pack its layer, in parallel. Each layer is made only once.

Workers are forked (`ProcessPoolExecutor`). They inherit the verified archives and return their results through the
store, so no large value crosses a pipe. A worker holds the bytes of one star in memory at a time. It dies with the
builder.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from cosmos.child import die_with
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.image.workshop.layers import Layers, StarLayer, Workshop
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted

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
    with _workers(workshop, at_once) as submit:
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
    submit: Callable[[StarName, Keys], Future[Digest]],
    at_once: int,
    reporter: Reporter,
    judge: Callable[[Layers], None],
) -> None:
    """Make the missing layers, the biggest first, each after the layers that its script can see.

    If a star's dependencies had to be made, the star's layer is searched for again: the new layers may be the same in
    every place that its script read. No more than `at_once` are under way, so that `judge` can stop the rest.
    """
    missing = [name for name in workshop.acquired if name not in layers]
    todo = sorted(missing, key=lambda name: -workshop.acquired[name].star.unpacked_bytes)
    running: dict[Future[Digest], StarName] = {}
    while todo or running:
        for name in [name for name in todo if name in made or _find(workshop, name, layers, made)]:
            if name in made and len(running) == at_once:
                continue
            todo.remove(name)
            if name in made:
                running[submit(name, {star: layers[star].key for star in workshop.seen_by(name)})] = name
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name = running.pop(future)
            layers[name] = _loaded(workshop, name, future.result())
            judge(layers)
            reporter.progress(f"staged {name}", len(missing) - len(todo) - len(running), len(missing))


def _loaded(workshop: Workshop, name: StarName, key: Digest) -> StarLayer:
    layer = workshop.load(key)
    if layer is None:
        raise RuntimeError(f"{name} was staged, but the store lost it")
    return layer


@contextmanager
def _workers(workshop: Workshop, jobs: int) -> Iterator[Callable[[StarName, Keys], Future[Digest]]]:
    if jobs <= 1:

        def inline(name: StarName, keys: Keys) -> Future[Digest]:
            future: Future[Digest] = Future()
            future.set_result(_made(workshop, name, keys))
            return future

        yield inline
        return
    fork = multiprocessing.get_context("fork")  # initargs are inherited, not pickled
    with ProcessPoolExecutor(jobs, mp_context=fork, initializer=_enter, initargs=(workshop, os.getpid())) as pool:
        try:
            yield lambda name, keys: pool.submit(_work, name, keys)
        except BrokenProcessPool as error:
            hint = "perhaps for lack of memory; fewer at once take less: --jobs 1"
            raise WorldFailed("the build", "one of its workers was ended from outside", hint=hint) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_shared: list[Workshop] = []  # a worker's own; empty in the builder


def _enter(workshop: Workshop, builder: int) -> None:
    die_with(builder)
    _shared.append(workshop)


def _work(name: StarName, keys: Keys) -> Digest:
    return _made(_shared[0], name, keys)


def _made(workshop: Workshop, name: StarName, keys: Keys) -> Digest:
    return workshop.make(name, {star: _loaded(workshop, star, key) for star, key in keys.items()})
