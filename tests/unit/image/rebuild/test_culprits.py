"""What made a difference is named: the smallest set of variations, and the event of a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.canon import Json
from cosmos.image.rebuild.culprit import Makers
from cosmos.image.rebuild.rebuilding import smallest
from cosmos.image.rebuild.variations import Variation
from cosmos.release.diff.compare import Difference
from cosmos.treepath import TreePath

ALL = tuple(Variation(name=name, what=name, change=lambda now: now) for name in "abcdefghijk")


@given(st.sets(st.sampled_from([one.name for one in ALL]), min_size=1))
def test_exactly_the_variations_that_are_needed_together_are_named(needed: set[str]) -> None:
    def differs(part: Iterable[Variation]) -> bool:
        return needed <= {one.name for one in part}

    assert {one.name for one in smallest(ALL, differs)} == needed


def test_a_difference_that_does_not_come_again_leaves_all_of_them() -> None:
    assert smallest(ALL, lambda _part: False) == ALL


def difference(path: str, star: str) -> Difference:
    return Difference(path=TreePath(path.encode()), causes=("content",), before=None, after=None, star=star)


RECEIPTS: Mapping[str, Json] = {
    "app": {
        "script": "install.lua",
        "events": [
            {"do": "write", "path": "etc/a"},
            {"do": "run", "words": ["date"]},
            {"do": "chmod", "path": "etc/a", "mode": "0755"},
            {"do": "read", "path": "etc/a"},
        ],
    },
    "plain": {"events": []},
    "finish": {"script": "finish.lua", "events": [{"do": "write", "path": "etc/motd"}]},
}


@pytest.mark.parametrize(
    ("path", "star", "said"),
    [
        ("etc/a", "app", "app, install.lua: chmod"),
        ("etc/b", "app", 'app, install.lua: run ["date"]'),
        ("etc/b", "plain", "plain, unpacked"),
        ("etc/b", "unheard-of", "unheard-of, unpacked"),
        ("etc/motd", "template", "the image's own files, finish.lua: write"),
        ("etc/b", "", "the image's own files"),
    ],
)
def test_the_last_event_that_wrote_a_path_made_it(path: str, star: str, said: str) -> None:
    assert Makers(RECEIPTS).of(difference(path, star)) == said


def test_the_events_of_a_script_are_looked_through_once() -> None:
    class Counted(list[Json]):
        times = 0

        def __iter__(self) -> Iterator[Json]:
            Counted.times += 1
            return super().__iter__()

    makers = Makers({"app": {"events": Counted([{"do": "write", "path": "etc/a"}])}})
    assert {makers.of(difference(f"etc/{number}", "app")) for number in range(9)} == {"app, unpacked"}
    assert Counted.times == 1
