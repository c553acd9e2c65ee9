"""Layers are made in any order that their scripts allow, and a worker finds the records that it needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.image.workshop.layers import StarLayer
from cosmos.image.workshop.staging import _Lacking, _make_all
from cosmos.limits import MIB
from fakes.reporters import Remembering


class Shop:
    """A workshop of numbered stars: what each sees, and which are in the store."""

    def __init__(self, sees: list[set[int]], sizes: list[int], found: Collection[str] = ()) -> None:
        self.acquired = {
            f"s{at}": SimpleNamespace(star=SimpleNamespace(unpacked_bytes=size)) for at, size in enumerate(sizes)
        }
        self._sees, self.found = sees, found
        self.store = self
        self.in_store: set[str] = set()
        self.waiting: set[str] = set()
        self.settled = 0

    def seen_by(self, name: str) -> tuple[str, ...]:
        return tuple(f"s{at}" for at in sorted(self._sees[int(name[1:])]))

    def find(self, name: str, layers: Mapping[str, object]) -> object:
        assert set(self.seen_by(name)) <= set(layers), "its script's reads cannot be judged yet"
        if name not in self.found:
            return "its script reads another file"
        self.in_store.add(name)
        return StarLayer(key=Digest.of(name.encode()), lines=(), times=(), receipt=None)

    def keep(self, name: str, made: object) -> object:
        self.waiting.add(name)
        return made

    def settle(self) -> None:
        assert self.waiting, "there is nothing to settle"
        self.settled += 1
        self.in_store |= self.waiting
        self.waiting.clear()


def made_in_turn(shop: Shop, at_once: int) -> list[str]:
    """Make all layers with `at_once` workers that find no record but the settled ones; return the order."""
    return [name for names in made_together(shop, at_once) for name in names]


def made_together(shop: Shop, at_once: int) -> list[list[str]]:
    """Make all layers as `made_in_turn` does; return which ones a worker got at once."""
    order: list[list[str]] = []

    def submit(stars: Mapping[str, Mapping[str, object]]) -> Future[list[str]]:
        for name, layers in stars.items():
            assert set(layers) == set(shop.seen_by(name))
            assert at_once == 1 or set(layers) <= shop.in_store, "a worker would not find them"
        order.append([*stars])
        future: Future[list[str]] = Future()
        future.set_result([*stars])
        return future

    judged: list[str] = []
    _make_all(_Lacking(shop, {}, {}, at_once), submit, Remembering(), judged.extend)
    assert sorted(judged) == sorted(shop.acquired), "each layer is judged once"
    return order


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    count = draw(st.integers(1, 12))
    sees = [draw(st.sets(st.integers(0, at - 1), max_size=3)) if at else set() for at in range(count)]
    found = {f"s{at}" for at in range(count) if sees[at] and draw(st.booleans())}
    return Shop(sees, draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)), found)


@given(shops(), st.integers(1, 3))
def test_every_layer_is_made_once_after_those_below_it(shop: Shop, at_once: int) -> None:
    assert sorted(made_in_turn(shop, at_once)) == sorted(shop.acquired.keys() - shop.found)


def test_the_biggest_is_made_first() -> None:
    assert made_in_turn(Shop([set()] * 4, [1, 9, 4, 9]), 1) == ["s1", "s3", "s2", "s0"]


def test_records_are_settled_once_for_each_step_of_the_chains_and_not_for_each_star() -> None:
    """Ten chains of four stars: 40 files of records were written, one for each star that another one sees."""
    sees = [set() if at < 10 else {at - 10} for at in range(40)]
    shop = Shop(sees, [1] * 40)
    made_in_turn(shop, 2)
    assert shop.settled == 3


def test_one_worker_is_the_builder_itself_and_needs_no_settled_records() -> None:
    shop = Shop([set() if at < 10 else {at - 10} for at in range(40)], [1] * 40)
    made_in_turn(shop, 1)
    assert not shop.settled


def test_a_worker_gets_several_small_stars_and_a_large_one_alone() -> None:
    sizes = [2 * MIB, *[1000] * 100]
    got = made_together(Shop([set()] * len(sizes), sizes), 2)
    assert got[0] == ["s0"]
    assert [len(names) for names in got[1:4]] == [16, 16, 16]
    assert len(got[-1]) == 1, "the last ones are shared among the workers"


def test_small_stars_that_are_much_together_are_not_one_workers_alone() -> None:
    got = made_together(Shop([set()] * 40, [MIB // 2] * 40), 2)
    assert max(map(len, got)) == 2
