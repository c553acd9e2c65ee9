"""The order of a lock: after what is needed, by name otherwise, circles by their rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from cosmos.model.names import StarName
from cosmos.resolve.order import dependency_order, out_of_order


def graph(needs: Mapping[str, Sequence[str]]) -> dict[StarName, list[StarName]]:
    return {StarName(name): [StarName(other) for other in others] for name, others in needs.items()}


@pytest.mark.slow
def test_a_chain_of_a_hundred_thousand_is_no_depth() -> None:
    names = [f"s{number:06}" for number in range(100_000)]
    needs = graph({name: names[at + 1 : at + 2] for at, name in enumerate(names)})
    assert dependency_order(needs) == names[::-1]


def test_a_circle_stands_together_after_what_it_needs_and_before_who_needs_it() -> None:
    needs = graph({"a-user": ["m"], "m": ["k"], "k": ["m", "z"], "z": [], "b": []})
    assert dependency_order(needs) == ["b", "z", "m", "k", "a-user"]


def test_within_a_circle_only_what_leads_back_gives_way() -> None:
    needs = graph({"a": ["b"], "b": ["c", "d"], "c": ["d"], "d": ["a"]})
    assert dependency_order(needs) == ["d", "c", "b", "a"]


def test_the_order_does_not_depend_on_how_things_are_written() -> None:
    needs = graph({"a": ["b", "c"], "b": ["c", "a"], "c": ["a", "x"], "x": ["y"], "y": ["x"], "q": ["a", "y"]})
    turned = {name: others[::-1] for name, others in reversed(needs.items())}
    assert dependency_order(needs) == dependency_order(turned) == ["y", "x", "c", "b", "a", "q"]


def test_an_order_is_right_just_where_nothing_comes_before_what_it_needs() -> None:
    needs = graph({"z": [], "b": ["z"], "a": []})  # not by name, but right
    assert list(out_of_order(needs)) == []
    assert list(out_of_order(graph({"b": ["z"], "z": []}))) == [("b", "z")]


def test_who_needs_one_star_of_a_circle_comes_after_all_of_it() -> None:
    assert list(out_of_order(graph({"c": ["a"], "a": ["c"], "u": ["c"]}))) == []
    assert list(out_of_order(graph({"c": ["a"], "u": ["c"], "a": ["c"]}))) == [("u", "a")]
