"""Where two files differ is said in terms of their kind; a hostile file is compared as bytes, in bounded memory."""

from __future__ import annotations

import gzip
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cosmos.pack.tar import TAR_END, tar_members
from cosmos.release.diff.documents import document_differences
from cosmos.release.diff.elf import sections
from cosmos.release.diff.inside import MOST_LINES, inside
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

ELF = Path(zstandard.backend_c.__file__).read_bytes()  # a library that every environment of Cosmos has


def tar(**members: bytes) -> bytes:
    entries = (
        Entry(path=TreePath(name.encode()), kind="file", mode=0o644, content=data) for name, data in members.items()
    )
    return b"".join([*tar_members(entries), TAR_END])


@pytest.mark.parametrize(
    ("name", "old", "new", "wanted"),
    [
        ("a.conf", b"one\ntwo\n", b"one\nthree\n", ("line 2: -two", "line 2: +three")),
        ("a.toml", b'a = 1\n[b]\nc = "x"\n', b'a = 1\n[b]\nc = "y"\n', ('b.c: "x" -> "y"',)),
        ("a.json", b'{"a": [1, 2]}', b'{"a": [1, 3], "b": null}', ("a: [1,2] -> [1,3]", "b: added, is null")),
        ("a.tar", tar(x=b"1", y=b"2"), tar(x=b"1", y=b"3", z=b""), ("member y: content", "member z: added")),
        ("a.tar", tar(x=b"1", y=b"2"), tar(y=b"2", x=b"1"), ("the members are in another order",)),
        ("a.gz", gzip.compress(b"same" * 99, 1, mtime=1), gzip.compress(b"same" * 99, 9, mtime=2),
         ("the same contents, compressed differently",)),
        ("man.1.gz", gzip.compress(b"a\nb\n", mtime=0), gzip.compress(b"a\nc\n", mtime=0),
         ("decompressed: line 2: -b", "decompressed: line 2: +c")),
        ("data", b"\0" * 100, b"\0" * 99 + b"\1", ("from byte 99",)),
        ("data", b"\xff" * 10, b"\xff" * 12, ("the same up to byte 10, 10 -> 12 bytes",)),
        ("not.json", b"\xff{", b"\xff[", ("from byte 1",)),
    ],
)  # fmt: skip
def test_where_two_files_differ(name: str, old: bytes, new: bytes, wanted: tuple[str, ...]) -> None:
    said = inside(old, new, name)
    assert [line.split(" (")[0] for line in said] == list(wanted)


def section_of(data: bytes, name: bytes) -> int:
    """Return where the bytes of an ELF section begin, read naively (ELF-64, gabi chapter 4)."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, number, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + at * size) for at in range(number)]
    start = headers[names][4]
    return next(header[4] for header in headers if data[start + header[0] :].split(b"\0", 1)[0] == name)


def test_the_section_of_a_program_is_named() -> None:
    place = section_of(ELF, b".rodata")
    changed = bytearray(ELF)
    changed[place + 3] ^= 0xFF
    (line,) = inside(ELF, bytes(changed), "lib.so")
    assert line.startswith("ELF: section .rodata, from byte 3 (")


def test_a_build_id_is_named() -> None:
    if b"GNU\0" not in ELF:
        pytest.fail("the library has no build-id: take another one")
    place = section_of(ELF, b".note.gnu.build-id")
    changed = bytearray(ELF)
    changed[place + 16] ^= 0xFF
    (line,) = inside(ELF, bytes(changed), "lib.so")
    assert line == f"ELF: build-id {ELF[place + 16 : place + 36].hex()} -> {changed[place + 16 : place + 36].hex()}"


# A program of its own, because a process never shows less than it once had, and the tests before had much.
MEASURED = """
import sys
from pathlib import Path
from cosmos.release.diff.inside import inside
old, new = (Path(name).read_bytes() for name in sys.argv[1:])
def peak_kib():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
before = peak_kib()
(line,) = inside(old, new, "lib.so")
print(peak_kib() - before, line)
"""


def test_sections_that_lie_on_one_another_do_not_multiply_the_file(tmp_path: Path) -> None:
    (table,) = struct.unpack_from("<Q", ELF, 0x28)
    _, number, _ = struct.unpack_from("<HHH", ELF, 0x3A)
    changed = bytearray(ELF)
    for place in (table + at * 64 for at in range(number)):
        if struct.unpack_from("<I", ELF, place + 4) == (1,):  # SHT_PROGBITS: the library judges no other by its bytes
            struct.pack_into("<QQ", changed, place + 24, 0, len(ELF))
    (tmp_path / "old").write_bytes(ELF)
    (tmp_path / "new").write_bytes(changed)
    words = [sys.executable, "-c", MEASURED, tmp_path / "old", tmp_path / "new"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    kib, _, line = said.partition(" ")
    assert line.startswith("from byte ")
    assert int(kib) < (8 * len(ELF) >> 10) + (16 << 10)


def test_archives_in_archives_are_opened_twice_and_no_deeper() -> None:
    old, new = b"1" * 40, b"2" * 40
    for _ in range(3):
        old, new = gzip.compress(old, mtime=0), gzip.compress(new, mtime=0)
    (line,) = inside(old, new, "x")
    assert line.startswith("decompressed: decompressed: from byte ")


def test_a_long_list_of_differences_is_cut() -> None:
    old, new = ("".join(f"{sign}{at}\n" for at in range(99)).encode() for sign in "ab")
    said = inside(old, new, "x")
    assert (len(said), said[-1]) == (MOST_LINES + 1, "…")


def test_named_rows_are_compared_by_name() -> None:
    old = {"star": [{"name": "a", "v": 1}, {"name": "b", "v": 1}]}
    new = {"star": [{"name": "new", "v": 9}, {"name": "a", "v": 1}, {"name": "b", "v": 2}]}
    assert list(document_differences(old, new)) == [
        "star.b.v: 1 -> 2",
        'star.new: added, is {"name":"new","v":9}',
    ]


@given(old=st.binary(max_size=300), new=st.binary(max_size=300), name=st.sampled_from(["a", "a.json", "a.toml"]),
       magic=st.sampled_from([b"", b"\x7fELF\x02\x01\x01", b"\x1f\x8b\x08", b"BZh9", b"(\xb5/\xfd"]))  # fmt: skip
def test_any_two_files_that_differ_get_a_line(old: bytes, new: bytes, name: str, magic: bytes) -> None:
    if old != new:
        assert inside(magic + old, magic + new, name)


def test_a_change_in_a_long_text_is_found_by_its_line() -> None:
    lines = [f"line {number}" for number in range(50_000)]
    changed = [*lines[:30_000], "another", *lines[30_001:]]
    said = inside("\n".join(lines).encode(), "\n".join(changed).encode(), "words")
    assert said == ("line 30001: -line 30000", "line 30001: +another")


def test_lines_that_look_like_the_heads_of_a_comparison_are_shown() -> None:
    assert inside(b"-- a\nx\n", b"++ b\nx\n", "notes") == ("line 1: --- a", "line 1: +++ b")


def test_texts_with_every_line_elsewhere_are_not_compared_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two such texts took two seconds, and one comparison may look into 200 files."""
    old = "".join(f"{number % 105}\n" for number in range(3999)).encode()
    new = "".join(f"{104 - number % 105}\n" for number in range(3999)).encode()
    monkeypatch.setattr("difflib.SequenceMatcher", None)  # nothing may ask it
    assert inside(old, new, "words") == ("line 1 and later",)


def test_a_program_that_claims_very_many_sections_is_compared_as_bytes() -> None:
    data = bytearray(ELF)
    (table,) = struct.unpack_from("<Q", data, 0x28)
    struct.pack_into("<H", data, 0x3C, 0)  # then the number is the size of the first section (gabi, chapter 4)
    struct.pack_into("<Q", data, table + 0x20, 100_000)
    padded = bytes(data) + bytes(64 * 100_000)
    with pytest.raises(ValueError, match="more than 4096 sections"):
        sections(padded)
    assert inside(padded, padded[:-1] + b"x", "lib.so")[0].startswith("from byte ")


@pytest.mark.parametrize("line", [b"ab\n", "\N{GRINNING FACE}a\n".encode()])
def test_a_small_file_of_very_many_lines_takes_little_memory(line: bytes) -> None:
    """A compressed file of 30 kB held 20 million lines, and each took 50 bytes."""
    old, new = (gzip.compress(line * (30 * (1 << 20) // len(line)) + end) for end in (b"1", b"2"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])  # what this process has already
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), before[1]))
    try:
        said = inside(old, new, "a.gz")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    place = f"decompressed: line {30 * (1 << 20) // len(line) + 1}"
    assert said == (f"{place}: -1", f"{place}: +2")


def test_a_long_text_is_told_by_its_first_line_that_differs() -> None:
    old, rest = b"same\n" * 5000, b"x\n" * 5000
    assert inside(old + b"1\n" + rest + b"1\n", old + b"2\n" + rest + b"2\n", "a") == ("line 5001 and later",)
