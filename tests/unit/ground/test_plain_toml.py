"""The fast reader of TOML says of a text what tomllib says, or leaves it to tomllib. The writer writes as tomli_w."""

from __future__ import annotations

import random
import tomllib

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from cosmos.errors import Malformed
from cosmos.plain_toml import plain_document, plain_text
from cosmos.tables import Table
from fakes.galaxies import StarSpec

WRITTEN = """\
# a lock, shortened

lock-version = 2

[request]
image = "rescue"
"quoted key" = "ü # no comment"

[request.stars]
busybox = "^1.35"

[request.constellations."more.toml"]
nano = "*"

[build]
level = 9
epoch = 1767225600

[[star]]
name = "zlib"
unsigned = false
script = ""
dependencies = []
wanted-by = [
    "image",
    "nano [7], 'x'",
]

[[star]]
name = "nano"
dependencies = [
    "zlib",
]
"""
PIECES = (
    "\n",
    '"',
    "\\",
    "[",
    "]",
    "[[",
    "]]",
    "=",
    " ",
    ",",
    ".",
    "#",
    "\t",
    "\r\n",
    "0",
    "-1",
    "é",
    "\x00",
    "{}",
    "'",
    '",\n    "',
    '    "",\n',
    "\n]\n",
    "]\n",
    "\\\\",
    "\x7f",
)


def told_apart(text: str) -> bool:
    """Return whether the fast reader answered; what it answers is tomllib's answer."""
    found = plain_document(text)
    if found is None:
        return False
    assert found == tomllib.loads(text)
    assert repr(found) == repr(tomllib.loads(text)), "types and order as well"
    return True


def changed(text: str, dice: random.Random) -> str:
    """Return `text` with a line or a few characters moved, doubled, dropped or put in."""
    lines = text.splitlines(keepends=True)
    at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    match dice.randrange(6):
        case 0:
            lines.insert(other, lines[at])
        case 1:
            del lines[at]
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines.insert(
                at, dice.choice(("[request]\n", "[[request]]\n", "[star.x]\n", "[a.b]\n", "star = 1\n", "a = []\n"))
            )
        case _:
            place = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + dice.choice(PIECES) + lines[at][place + dice.randrange(3) :]
    return "".join(lines)


def test_what_programs_write_is_read_as_tomllib_reads_it() -> None:
    assert told_apart(WRITTEN)
    assert told_apart(
        tomli_w.dumps(StarSpec("zlib", dependencies={"glibc": "^2"}, provides={"libz": "1.0.0"}).star().to_toml())
    )
    assert told_apart("")


@pytest.mark.parametrize(
    ("items", "texts"),
    [
        ('    "",\n', [""]),
        ('    "b, c",\n    "[d]",\n', ["b, c", "[d]"]),
        ('    "a\\\\x2d",\n    "ü\u2028",\n', ["a\\x2d", "ü\u2028"]),
        ('    "]",\n    "",\n', ["]", ""]),
    ],
)
def test_the_texts_of_an_array_are_read_as_tomllib_reads_them(items: str, texts: list[str]) -> None:
    document = f'a = [\n{items}]\nb = "c"\n'
    assert plain_document(document) == tomllib.loads(document) == {"a": texts, "b": "c"}


def test_no_change_of_a_text_is_read_in_another_way_than_tomllib_reads_it() -> None:
    dice = random.Random(1)
    answered = 0
    for _ in range(20_000):
        text = WRITTEN
        for _ in range(dice.randrange(1, 4)):
            text = changed(text, dice)
        answered += told_apart(text)
    assert answered > 1000


@pytest.mark.parametrize(
    "text",
    [
        'a = "1"\na = "2"\n',
        "[a]\n[a]\n",
        "[a.b]\n[a]\nb = 1\n",
        "[a]\nb = 1\n[a.b]\n",
        "a = []\n[[a]]\n",
        "[[a]]\n[a]\n",
        "[a]\n[[a]]\n",
        'a = "b\n',
        "a = 01\n",
        "a = [\n    1,\n]\n",
        'a = [\n    "b",\n    "c"\n]\n',
        'a = [\n    "b,\n    c",\n]\n',
        'a = [\n    "b" "c",\n]\n',
        'a = [\n    "b",\n\n]\n',
        'a = [\n    ",\n]\n',
        'a = [\n    "\\",\n]\n',
        'a = [\n    "b\x7f",\n]\n',
        'a = [\n    "b",\n]',
        "a = [\n]\n",
        "a =\n",
    ],
)
def test_what_is_doubled_or_no_toml_is_left_to_tomllib_which_names_the_fault(text: str) -> None:
    assert plain_document(text) is None


@pytest.mark.parametrize("text", ['a = "1"\na = "2"\n', "[a]\n[a]\n", "a = []\n[[a]]\n", 'a = "b\n'])
def test_a_table_refuses_them(text: str) -> None:
    with pytest.raises(Malformed, match="is not TOML"):
        Table.parse(text.encode(), "x.toml")


def test_tables_nested_too_deeply_are_refused_all_the_same() -> None:
    with pytest.raises(Malformed, match="is nested more than 32 deep"):
        Table.parse(f"[{'.'.join('a' * 40)}]\n".encode(), "x.toml")


def test_long_texts_that_are_no_toml_take_no_longer_than_they_are_long() -> None:
    for text in ("a" * 1_000_000, 'a = "' + "b" * 1_000_000, "a = [\n" + '    "b",\n' * 100_000, "[" + "a." * 500_000):
        assert plain_document(text) is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text('ab"\\\t\n\r\b\f\x00\x7fü', max_size=8)
VALUES = TEXTS | st.integers() | st.booleans() | st.floats() | st.lists(TEXTS | st.integers(), max_size=3)
TABLES = st.recursive(
    st.dictionaries(TEXTS, VALUES | st.text("x", min_size=120, max_size=130), max_size=4),
    lambda inner: st.dictionaries(TEXTS, inner | st.lists(inner, max_size=3) | VALUES, max_size=4),
    max_leaves=12,
)


@given(TABLES)
@example({"a": {"b": {"c": "d"}}})
@example({"a": [{"b": "c"}], "d": 1})
@example({"a": [{"b": "c" * 101}, {"e": []}], "d": 1})
@example({"a": {"b": [{"b": "c" * 101}]}})
@example({"a": [{"b": {"c": "d" * 101}}]})
@example({"a": [{"b": "c" * 101}, "d"], "": {}})
def test_documents_are_written_as_tomli_w_writes_them(document: dict[str, object]) -> None:
    assert plain_text(document) == tomli_w.dumps(document)
