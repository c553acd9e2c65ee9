"""What made a difference is named: the smallest set of variations, and the event of a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.canon import Json
from cosmos.image.rebuild.culprit import Makers, TemplateText, first_unlike
from cosmos.image.rebuild.trials import smallest
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
            {"do": "copy", "path": "opt", "line": 2, "entries": 9},
            {"do": "render", "path": "etc/r", "template": "files/r.in", "line": 3},
            {"do": "run", "words": ["date"]},
            {"do": "chmod", "path": "etc/a", "mode": "0755", "line": 4},
            {"do": "read", "path": "etc/a"},
        ],
    },
    "plain": {"events": []},
    "finish": {"script": "finish.lua", "events": [{"do": "write", "path": "etc/motd", "line": 7}]},
}


@pytest.mark.parametrize(
    ("path", "star", "said"),
    [
        ("etc/a", "app", "app, install.lua:4: chmod"),
        ("etc/r", "app", "app, install.lua:3: render files/r.in"),
        ("opt/x/y", "app", "app, install.lua:2: copy"),
        ("optional", "app", 'app, install.lua: run ["date"]'),
        ("etc/b", "app", 'app, install.lua: run ["date"]'),
        ("etc/b", "plain", "plain, unpacked"),
        ("etc/b", "unheard-of", "unheard-of, unpacked"),
        ("etc/motd", "template", "the image's own files, finish.lua:7: write"),
        ("etc/b", "", "the image's own files"),
    ],
)
def test_the_last_event_that_wrote_a_path_made_it(path: str, star: str, said: str) -> None:
    assert Makers(RECEIPTS).of(difference(path, star)) == said


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("opt/x/y", 'app, install.lua: run ["date"]'),  # in a folder that the script copied before its program ran
        ("etc/a", "app, install.lua:4: chmod"),  # written again after it
    ],
)
def test_a_time_that_no_digest_of_a_tree_has_is_of_the_program_that_ran_last(path: str, said: str) -> None:
    assert Makers(RECEIPTS).of(replace(difference(path, "app"), causes=("time",))) == said


def test_the_events_of_a_script_are_looked_through_once() -> None:
    class Counted(list[Json]):
        times = 0

        def __iter__(self) -> Iterator[Json]:
            Counted.times += 1
            return super().__iter__()

    makers = Makers({"app": {"events": Counted([{"do": "write", "path": "etc/a"}])}})
    assert {makers.of(difference(f"etc/{number}", "app")) for number in range(9)} == {"app, unpacked"}
    assert Counted.times == 1


def ran(line: int, before: str, after: str) -> dict[str, Json]:
    return {"do": "run", "words": ["sh"], "line": line, "before": before, "after": after}


def test_of_several_programs_the_first_that_made_something_else_is_named() -> None:
    write: Json = {"do": "write", "path": "etc/a", "line": 2}
    late: Json = {"do": "write", "path": "etc/late", "line": 9}
    ours: Json = {
        "script": "install.lua",
        "events": [write, ran(3, "a", "b"), ran(5, "b", "c"), ran(8, "c", "d"), late],
    }
    theirs: Json = {"events": [write, ran(3, "a", "b"), ran(5, "b", "X"), ran(8, "X", "Y"), late]}
    unlike = first_unlike({"app": ours, "other": None}, {"app": theirs})
    assert unlike == {"app": 2}
    makers = Makers({"app": ours})
    assert makers.of(difference("etc/made", "app"), unlike) == 'app, install.lua:5: run ["sh"]'
    assert makers.of(difference("etc/a", "app"), unlike) == 'app, install.lua:5: run ["sh"]'
    assert makers.of(difference("etc/late", "app"), unlike) == "app, install.lua:9: write"
    assert makers.of(difference("etc/made", "app")) == 'app, install.lua:8: run ["sh"]'


def test_a_script_that_went_another_way_names_no_program_for_it() -> None:
    ours: Json = {"events": [{"do": "write", "path": "a"}, ran(3, "a", "b")]}
    theirs: Json = {"events": [{"do": "mkdir", "path": "a"}, ran(3, "x", "y")]}
    assert first_unlike({"app": ours}, {"app": theirs}) == {}


@pytest.mark.parametrize(
    ("path", "inside", "said"),
    [
        ("etc/hostname", ("line 1: -a", "line 1: +b"), "template/root/etc/hostname.j2:1"),
        ("etc/hostname", ("line 2: -a",), "template/root/etc/hostname.j2"),  # the first line may have made many
        ("etc/plain", ("line 3: -a",), "template/root/etc/plain:3"),
        ("etc/plain", (), "template/root/etc/plain"),
        ("dev/null", (), "template/template.toml"),
        ("var/lib/cosmos/universe.toml", (), "the record of what is installed"),
    ],
)
def test_a_file_of_the_template_is_named_with_its_line_if_that_is_known(
    path: str, inside: tuple[str, ...], said: str
) -> None:
    files = {"etc/hostname.j2": b"{{ image.name }}\nsecond\n", "etc/plain": b"1\n2\n3\n"}
    one = replace(difference(path, "template"), inside=inside)
    makers = Makers({}, TemplateText(folder="template", files=files))
    assert makers.of(one) == f"the image's own files, {said}"
