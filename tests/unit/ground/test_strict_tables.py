"""Strict reading: whatever is wrong in a document is named with its dotted path."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import Malformed
from cosmos.tables import Table, uncollected


def read(text: str) -> Table:
    return Table.parse(text.encode(), "doc.toml")


@pytest.mark.parametrize(
    ("text", "ask", "said"),
    [
        ("", lambda t: t.need("a", str), "doc.toml: a: missing"),
        ("a = 1", lambda t: t.need("a", str), "doc.toml: a: want a string, got an integer"),
        ("a = true", lambda t: t.need("a", int), "doc.toml: a: want an integer, got true or false"),
        ("a = 1", lambda t: t.need("a", bool), "doc.toml: a: want true or false, got an integer"),
        ("a = [1]", lambda t: t.strings("a"), "doc.toml: a[0]: want a string, got an integer"),
        ("[a.b]\nc = 1", lambda t: t.table("a").table("b").end(), "doc.toml: a.b.c: unknown key"),
        ("[[a]]\n[[a]]\nb = 1", lambda t: t.tables("a")[1].end(), "doc.toml: a[1].b: unknown key"),
        ("a = 7", lambda t: t.count("a", most=6), "doc.toml: a: want 0 to 6, got 7"),
        ("a = -1", lambda t: t.count("a"), "doc.toml: a: want 0 to 9223372036854775807, got -1"),
        ("a = 'x'", lambda t: t.choice("a", ("y", "z")), "doc.toml: a: want one of y, z, got 'x'"),
        ("a = 'x'", lambda t: t.read("a", int), "doc.toml: a: invalid literal"),
        ("[a]\nb = 'x'", lambda t: t.parsed_map("a", str, int), "doc.toml: a.b: invalid literal"),
        ("[a]\nb = 1", lambda t: t.string_map("a"), "doc.toml: a.b: want a string, got an integer"),
        ("a = 1", lambda t: t.end(), "doc.toml: a: unknown key"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(text: str, ask: Callable[[Table], object], said: str) -> None:
    with pytest.raises(Malformed) as caught:
        ask(read(text))
    assert str(caught.value).startswith(said)


def test_a_key_that_was_asked_for_is_known() -> None:
    table = read("a = 1\nb = 'x'\n[c]\n")
    assert table.need("a", int) == 1
    assert table.take("b", str) == "x"
    table.table("c").end()
    assert table.take("absent", str) is None
    assert table.take("absent", str, "default") == "default"
    table.end()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "is not UTF-8 at byte 0"),
        (b"a = ", "is not TOML"),
        (b"a = 1\na = 2\n", "is not TOML"),
        (b"a = " + b"[" * 100 + b"]" * 100, "is nested more than 32 deep"),
        (b"a = " + b"[" * 100_000, "is nested more than 32 deep at line 1"),
    ],
)
def test_what_is_no_document_is_malformed(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        Table.parse(data, "doc.toml")


def test_a_document_is_bounded_before_it_is_parsed() -> None:
    with pytest.raises(Malformed, match="has 5 bytes, the limit is 4"):
        Table.parse(b"a = 1", "doc.toml", max_bytes=4)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        Table.parse(data, "doc.toml")
    except Malformed:
        return


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (b'name = "x"\ndescripton = "y"', "descripton: unknown key", "did you mean description?"),
        (b'name = "x"\nspeed = 1', "speed: unknown key", None),
        (b'nam = "x"', "name: missing, but there is nam", "did you mean name?"),
        (b"speed = 1", "name: missing", None),
        (b'name = "x"\n[row]\nlevle = 1', "row.levle: unknown key", "did you mean level?"),
        (b'name = "x"\n[row]\nlevel = 1\nlevels = 1', "row.levels: unknown key", None),
    ],
)
def test_a_misspelt_key_is_told_with_what_was_meant(text: bytes, said: str, hint: str | None) -> None:
    with pytest.raises(Malformed) as caught:
        table = Table.parse(text, "image.toml")
        table.need("name", str)
        table.take("description", str, "")
        row = table.take_table("row")
        if row is not None:
            _ = row.count("level") if "level" in row else 9
            row.end()
        table.end()
    assert (str(caught.value), caught.value.hint) == (f"image.toml: {said}", hint)


@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_is_collected_again_after_an_error(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ValueError, match="bad"), uncollected(), uncollected():
            assert not gc.isenabled()
            raise ValueError("bad")
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


CIRCLES = """
import gc
from cosmos.tables import uncollected

class Circle:
    def __init__(self):
        self.itself = self

for _ in range(100):
    with uncollected():
        for _ in range(1000):
            Circle()
print(sum(isinstance(one, Circle) for one in gc.get_objects()))
"""


def test_circles_are_collected_though_documents_are_read_again_and_again() -> None:
    # In a program of its own: while a thread of the test runner collects garbage, no other collection begins.
    counted = subprocess.run([sys.executable, "-c", CIRCLES], check=True, capture_output=True, text=True)
    assert int(counted.stdout) < 10_000
