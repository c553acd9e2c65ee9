"""A document takes no more memory than 64 MiB and sixteen times its size, whatever stands in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

from cosmos.errors import Malformed
from cosmos.limits import MAX_DOCUMENT_DEPTH, MIB
from cosmos.tables import Table
from cosmos.weighing import is_light_plain_toml

SIZE = 2 * MIB
DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TOO_MANY = "holds more values than a document of its size may"

# A program of its own measures the memory, because a process never shows less than it once had.
READING = """
import sys
from pathlib import Path
from cosmos.errors import CosmosError
from cosmos.tables import Table
data = Path(sys.argv[1]).read_bytes()
try:
    (Table.parse if sys.argv[2] == "toml" else Table.from_json)(data, "doc", max_bytes=1 << 30)
    said = "read"
except CosmosError as error:
    said = str(error)
kib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(kib >> 10, said)
"""

Shape = Callable[[int], str]
SHAPES: dict[str, tuple[str, Shape]] = {
    "tables": ("toml", lambda n: "".join(f"[{i:x}]\n" for i in range(n // 8))),
    "tables of eight parts": ("toml", lambda n: "".join(f"[{i:x}.a.a.a.a.a.a.a]\n" for i in range(n // 22))),
    "rows": ("toml", lambda n: "[[a]]\n" * (n // 6)),
    "arrays of rows": ("toml", lambda n: "".join(f"[[{i:x}]] \n" for i in range(n // 10))),
    "dotted keys": ("toml", lambda n: "".join(f"{i:x}{'.a' * 30}=1\n" for i in range(n // 68))),
    "short dotted keys": ("toml", lambda n: "".join(f"{i:x}.a=1\n" for i in range(n // 9))),
    "keys": ("toml", lambda n: "".join(f"{i:x}=1\n" for i in range(n // 8))),
    "empty tables in an array": ("toml", lambda n: f"a=[{'{},' * (n // 3)}]\n"),
    "empty arrays": ("toml", lambda n: "".join(f"{i:x}=[]\n" for i in range(n // 9))),
    "inline tables": ("toml", lambda n: "".join(f"{i:x}={{a=1}}\n" for i in range(n // 11))),
    "texts beside an emoji": ("toml", lambda n: f"a='\U0001f600'\nb=[{chr(39) + 'aa' + chr(39) + ','}" * (n // 30)),
    "empty objects": ("json", lambda n: f'{{"a":[{"{}," * (n // 3)}{{}}]}}'),
    "small objects": ("json", lambda n: '{"a":[' + ",".join(f'{{"{i:x}":1}}' for i in range(n // 13)) + "]}"),
    "one large object": ("json", lambda n: "{" + ",".join(f'"{i:x}":1' for i in range(n // 10)) + "}"),
    "empty lists": ("json", lambda n: f'{{"a":[{"[]," * (n // 3)}[]]}}'),
    "texts": ("json", lambda n: f'{{"\U0001f600":[{chr(34) + "aa" + chr(34) + ","}' * (n // 30)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_no_document_takes_more_than_64_mib_and_sixteen_times_its_size(name: str, repo: Path, tmp_path: Path) -> None:
    form, shape = SHAPES[name]
    file = tmp_path / "doc"
    file.write_text(shape(SIZE))
    size_mib = file.stat().st_size >> 20
    ran = subprocess.run(
        [sys.executable, "-c", READING, file, form],
        env={**os.environ, "PYTHONPATH": str(repo / "builder")},
        capture_output=True,
        text=True,
        check=True,
    )
    peak_mib, said = ran.stdout.split(" ", 1)
    assert int(peak_mib) <= 64 + 16 * size_mib, said


@pytest.mark.parametrize("name", ["tables", "dotted keys", "empty tables in an array", "empty arrays"])
def test_a_document_of_many_tiny_values_in_toml_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match=f"^doc: {TOO_MANY}$"):
        Table.parse(SHAPES[name][1](SIZE).encode(), "doc")


@pytest.mark.parametrize("name", ["empty objects", "small objects", "one large object", "empty lists"])
def test_a_document_of_many_tiny_values_in_json_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match=f"^doc: {TOO_MANY}$"):
        Table.from_json(SHAPES[name][1](SIZE).encode(), "doc")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".".join("a" * 40_000) + " = 1\n", "is nested more than 32 deep at line 1"),
        ("b = 1\n[" + ".".join("a" * 40_000) + "]\n", "is nested more than 32 deep at line 2"),
        ("a = " + "{a = " * 100_000, "is nested more than 32 deep at line 1"),
        ("a = 1\nb = " + "[" * 100_000, "is nested more than 32 deep at line 2"),
        ("a = " + "9" * 5000 + "\n", "has a number that is too long at line 1"),
        ("a = 0x" + "f" * 5000 + "\n", "has a number that is too long at line 1"),
        ("a = 0x" + "f" * 17 + "\n", "has a number that does not fit into 64 bits"),
        ("a = [[9223372036854775808]]\n", "has a number that does not fit into 64 bits"),
    ],
)
def test_long_names_deep_nests_and_huge_numbers_are_refused_with_their_line(text: str, said: str) -> None:
    with pytest.raises(Malformed, match=f"^doc: {said}$"):
        Table.parse(text.encode(), "doc")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 9223372036854775808}',
        '{"a": [-9223372036854775809]}',
        f'{{"a": {"9" * 5000}}}',
        f'{{"a": {"[" * 100_000}',
        '{"a": "\\ud800"}',
        '{"\\uDFFF": 1}',
        '{"a": 1.5}',
        '{"a": 1, "a": 2}',
    ],
)
def test_json_that_others_would_read_as_something_else_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match=r"^doc: "):
        Table.from_json(text.encode(), "doc")


def test_whole_pairs_of_surrogates_and_the_largest_numbers_are_read() -> None:
    table = Table.from_json(b'{"a": "\\ud83d\\ude00", "b": 9223372036854775807, "c": -9223372036854775808}', "doc")
    assert [table.value(key) for key in "abc"] == ["\U0001f600", 2**63 - 1, -(2**63)]


def test_names_and_nests_up_to_the_limit_are_read() -> None:
    name = ".".join("a" * (MAX_DOCUMENT_DEPTH - 1))
    for text in (f"{name} = 1\n", f"[{name}]\n", f"a = {'[' * 30}{']' * 30}\n", 'a = "' + "[{.=" * 1000 + '"\n'):
        assert Table.parse(text.encode(), "doc").value("a") is not None


# A careless scan takes a bracket or a dot in these texts for one of the document, or misses the end of a text.
TRICKY = [
    'a = """\n[[[[x]]]]"""""\nb = 1\n',
    "a = '''it''s [ { '''''\nb = 1\n",
    'a = "\\"" # " [\nb = """"""\n',
    "a = '\\'\n[b.'c.d'.\"e\\\".f\"] # [[\nx = [ # ]\n 1, # }\n 1.5, 1979-05-27T07:32:00.5Z]\n",
    'a = {b = {c = ["}", \'{\']}, "d.e" = 1}\nf."g.h".i = 2\n',
]


@pytest.mark.parametrize("text", TRICKY)
def test_texts_and_comments_are_passed_over(text: str) -> None:
    nested = text + "z = " + "[" * 25 + "]" * 25 + "\n"
    assert dict.fromkeys(Table.parse(nested.encode(), "doc").keys()) == dict.fromkeys(tomllib.loads(nested))
    deeper = text + "z = " + "[" * 40 + "]" * 40 + "\n"
    with pytest.raises(Malformed, match=f"is nested more than 32 deep at line {text.count(chr(10)) + 1}$"):
        Table.parse(deeper.encode(), "doc")


def test_large_documents_of_the_kinds_that_we_write_are_read_by_either_reader() -> None:
    row = {"name": "zlib", "archive": DIGEST, "size-bytes": 7, "signers": [DIGEST], "dependencies": [], "files": ["/a"]}
    entry = {"path": "/usr/share/x", "kind": "file", "mode": "0644", "uid": 0, "gid": 0, "digest": DIGEST}
    lock = tomli_w.dumps({"star": [row] * 5000})
    assert is_light_plain_toml(lock.encode(), lock)
    assert len(Table.parse(lock.encode(), "lock").tables("star")) == 5000
    rewritten = "# by hand\n" + lock.replace(" = ", "=")
    assert len(Table.parse(rewritten.encode(), "lock").tables("star")) == 5000
    stars = {f"s{number}": {"version": "1.0.0", "files": ["/a"], "entry": [entry] * 2} for number in range(2000)}
    assert len(Table.parse(tomli_w.dumps({"installed": stars}).encode(), "universe").table("installed")._data) == 2000
    names = tomli_w.dumps({"name": "core", "stars": [f"s{number}" for number in range(30_000)]})
    assert len(Table.parse(names.encode(), "index").strings("stars")) == 30_000


def test_large_descriptions_and_receipts_are_read() -> None:
    subject = {"name": "a", "digest": {"sha256": DIGEST}, "annotations": {"sizeBytes": 7, "signers": [DIGEST]}}
    release = json.dumps({"subject": [subject] * 10_000}, indent=2).encode()
    assert len(Table.from_json(release, "RELEASE.json").tables("subject")) == 10_000
    events = [{"do": "copy", "from": "usr/a", "to": "/usr/a"}, {"do": "read", "path": "/usr/a", "saw": None}] * 20_000
    receipts = json.dumps({"events": events}, separators=(",", ":")).encode()
    assert len(Table.from_json(receipts, "receipts.json").tables("events")) == 40_000
