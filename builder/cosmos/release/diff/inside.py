"""Say where the bytes of two files differ: a line of text, a key, a section of a program, a member of an archive.

Every look is bounded. What cannot be read as its kind is compared as bytes.
"""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import CosmosError
from cosmos.limits import MIB, READ_CHUNK_BYTES, Budget
from cosmos.pack.inflate import inflated
from cosmos.pack.untar import read_tar
from cosmos.release.diff.documents import document, document_differences
from cosmos.release.diff.elf import MAGIC, sections

MOST_LINES: Final = 12  # about one file; a person who wants more has the two files
_UNPACKED_BYTES: Final = 32 * MIB  # of an archive inside a file
_TEXT_BYTES: Final = 1 * MIB  # of a text that is compared line by line: each line takes 50 bytes besides
_END_OF_LINE: Final = b"\n"
_TEXT_LINES: Final = 1000  # between the first and the last that differ: comparing lines is quadratic at worst
_LINE_CHARACTERS: Final = 120
_MAGIC: Final = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst", b"BZh": ".bz2"}
_TAR_PLACE: Final = 257
_TAR: Final = b"ustar"


def inside(before: bytes, after: bytes, name: str, *, layers: int = 2) -> tuple[str, ...]:
    """Return up to `MOST_LINES` lines that say where the contents of a file called `name` differ.

    `layers` is how many compressions are opened, one inside the other.
    """
    looks = (_documents, _elf, _archives, partial(_compressed, layers=layers), _text)
    for look in looks:
        try:
            lines = list(islice(look(before, after, name), MOST_LINES + 1))
        except (CosmosError, ValueError):
            continue  # it is not what it seemed to be: another look, and at last the bytes themselves
        if lines:
            return (*lines[:MOST_LINES], *(["…"] if len(lines) > MOST_LINES else []))
    return tuple(_bytes(before, after))


def _documents(before: bytes, after: bytes, name: str) -> Iterator[str]:
    is_json = name.endswith(".json")
    if is_json or name.endswith(".toml"):
        old, new = (document(data, name, is_json=is_json) for data in (before, after))
        yield from document_differences(old, new)


def _elf(before: bytes, after: bytes, _name: str) -> Iterator[str]:
    if not before.startswith(MAGIC) or not after.startswith(MAGIC):
        return
    old, new = sections(before), sections(after)
    for section in [*old, *(section for section in new if section not in old)]:
        here, there = old.get(section), new.get(section)
        if here is None or there is None:
            yield f"ELF: section {section} {'added' if here is None else 'removed'}"
        elif here != there:
            if section == ".note.gnu.build-id":
                yield f"ELF: build-id {here[-20:].hex()} -> {there[-20:].hex()}"
            else:
                yield f"ELF: section {section}, {_first_difference(here, there)}"


def _archives(before: bytes, after: bytes, name: str) -> Iterator[str]:
    if not all(data[_TAR_PLACE : _TAR_PLACE + len(_TAR)] == _TAR for data in (before, after)):
        return
    old, new = (
        {
            entry.path: (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.target, entry.digest)
            for entry in read_tar(data, name, devices="keep", rules="published")
        }
        for data in (before, after)
    )
    fields = ("kind", "mode", "owner", "group", "time", "target", "content")
    for path in sorted(old.keys() | new.keys()):
        here, there = old.get(path), new.get(path)
        if here is None or there is None:
            yield f"member {path.text}: {'added' if here is None else 'removed'}"
        elif here != there:
            unlike = [field for field, one, other in zip(fields, here, there, strict=True) if one != other]
            yield f"member {path.text}: {', '.join(unlike)}"
    if old == new and list(old) != list(new):
        yield "the members are in another order"


def _compressed(before: bytes, after: bytes, name: str, *, layers: int) -> Iterator[str]:
    """Say what differs in the decompressed contents, or that only the compressor differs."""
    ways = [next((way for magic, way in _MAGIC.items() if data.startswith(magic)), None) for data in (before, after)]
    if ways[0] is None or ways[1] is None or layers == 0:
        return
    old = bytes(inflated(before, ways[0], Budget(_UNPACKED_BYTES), name))
    new = bytes(inflated(after, ways[1], Budget(_UNPACKED_BYTES), name))
    if old == new:
        yield "the same contents, compressed differently"
        return
    inner = name.removesuffix(ways[0])
    yield from (f"decompressed: {line}" for line in inside(old, new, inner, layers=layers - 1))


def _text(before: bytes, after: bytes, _name: str) -> Iterator[str]:
    if not (_is_text(before) and _is_text(after)):
        return
    start = before.rfind(_END_OF_LINE, 0, _same_up_to(before, after)) + 1
    first = before.count(_END_OF_LINE, 0, start)
    old, new = _without_equal_end(before[start:], after[start:])
    if any(len(data) > _TEXT_BYTES or data.count(_END_OF_LINE) > _TEXT_LINES for data in (old, new)):
        yield f"line {first + 1} and later"
        return
    at = 0
    lines = (old.decode("utf-8").split("\n"), new.decode("utf-8").split("\n"))
    for line in islice(difflib.unified_diff(*lines, n=0, lineterm=""), 2, None):  # without its two heads
        if line.startswith("@@"):
            at = int(line.split()[2].partition(",")[0])
        else:
            yield f"line {first + at}: {line[:_LINE_CHARACTERS]}"


def _without_equal_end(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Return both texts without the whole lines at their ends that are equal."""
    same = _same_up_to(old[::-1], new[::-1])
    end = old.find(_END_OF_LINE, len(old) - same) if same else -1
    dropped = len(old) - end - 1 if end >= 0 else 0
    return old[: len(old) - dropped], new[: len(new) - dropped]


def _is_text(data: bytes) -> bool:
    """Return whether `data` is UTF-8 without a NUL. It is read in pieces: as a text it may take four times its size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for place in range(0, len(data), READ_CHUNK_BYTES):
            decoder.decode(data[place : place + READ_CHUNK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _bytes(before: bytes, after: bytes) -> Iterator[str]:
    yield _first_difference(before, after)


def _first_difference(before: bytes, after: bytes) -> str:
    """Return the first offset at which the bytes differ, and the sizes if these differ."""
    low = _same_up_to(before, after)
    sizes = "" if len(before) == len(after) else f", {len(before):,} -> {len(after):,} bytes"
    if low == min(len(before), len(after)):
        return f"the same up to byte {low:,}{sizes}"
    return f"from byte {low:,} ({Digest.of(before).short} -> {Digest.of(after).short}){sizes}"


def _same_up_to(before: bytes, after: bytes) -> int:
    """Return the first offset at which the bytes differ, or the shorter one's size."""
    low, high = 0, min(len(before), len(after))
    while low < high:  # halve until the first difference is found: comparing slices is fast
        middle = (low + high) // 2
        if before[low : middle + 1] == after[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low
