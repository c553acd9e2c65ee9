"""Damages documents at random, as an attacker and a bad disk do. The same number always makes the same damage.

A mutation is one to four of: a byte flipped, bytes left out or put in, a part doubled many times or moved, a token of
the format or of another document spliced in, a number made huge, brackets nested.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_NUMBER = re.compile(rb"[0-9]+")
_WORD = re.compile(rb"[A-Za-z0-9_-]+")
_KEY = re.compile(rb'(?<![A-Za-z0-9_.+-])("?[A-Za-z0-9_.+-]++"?)(?= =|=|: |":)')
_LINE = re.compile(rb"[^\n]*\n")

TOKENS = (
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"[[",
        b"]]",
        b'"',
        b"'",
        b'"""',
        b"'''",
        b"=",
        b",",
        b":",
        b".",
        b"\\",
        b"#",
        b"-",
        b"+",
    ),
    *(b"\n", b"\r\n", b"\0", b" ", b"\t", b"\x1b[2J", b"/", b"..", b"../", b"//", b"~", b"|", b"(", b")", b"<<", b">="),
    *(b"*", b"?", b"\\u0000", b"\\ud800", b"\\U00110000", b"\\x41", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *("\U0001f600".encode(), "\u2028".encode(), "\u0661".encode(), b"nan", b"inf", b"-inf", b"true", b"null", b"1e999"),
    *(b"1.5", b"0x10", b"0o17", b"1979-05-27", b"0000-00-00", b"9999-99-99", b"07:32:00", b"sha256:", b"ed25519:"),
    *(b'""', b"[]", b"{}", b"QQ==", b"QR==", b"a.b", b"a.a.a.a.a.a.a", b'"" = ""\n', b"[a]\n", b"[[a]]\n", b"any"),
    *(b"normal", b"\n\n", b" .\n", b"License: ", b"Files: *\n"),
)
NUMBERS = (
    *(
        b"0",
        b"-1",
        b"00",
        b"255",
        b"65536",
        b"2147483648",
        b"4294967296",
        b"9223372036854775807",
        b"9223372036854775808",
    ),
    *(b"18446744073709551616", b"1" + b"0" * 40, b"9" * 400, b"9" * 5000, b"0x" + b"f" * 5000),
)
MOST_BYTES = 256 << 10  # of a mutation: steps multiply; tests of their own read larger documents
KEYS = (
    b'""',
    b'".."',
    b'"../a"',
    b'"a b"',
    b'"/"',
    b'"\\u0000"',
    b'"' + b"x" * 300 + b'"',
    b"7",
    b"x.y",
    b'"A\\u0301"',
)
DEPTHS = (1, 31, 33, 200, 5000)
TIMES = (2, 10, 100)

Step = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """Return the mutation with this number of one of `seeds`; tokens come from all of them."""
    dice = random.Random(number)
    data = seeds[dice.randrange(len(seeds))]
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        data = dice.choice(_STEPS)(data, dice, seeds)[:MOST_BYTES]
    return data


def _place(data: bytes, dice: random.Random) -> int:
    return dice.randrange(len(data) + 1)


def _span(data: bytes, dice: random.Random) -> tuple[int, int]:
    start = _place(data, dice)
    return start, min(len(data), start + dice.choice((1, 2, 8, 64, 512)))


def _flip(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return b"\xff"
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def _leave_out(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    return data[:start] + data[end:]


def _cut_off(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    return data[: _place(data, dice)]


def _noise(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    at = _place(data, dice)
    return data[:at] + dice.randbytes(dice.choice((1, 4, 32))) + data[at:]


def _double(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    return data[:end] + data[start:end] * dice.choice(TIMES) + data[end:]


def _double_line(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    lines = _LINE.findall(data)
    if not lines:
        return data + data
    at = dice.randrange(len(lines))
    return b"".join((*lines[:at], lines[at] * dice.choice(TIMES), *lines[at:]))


def _swap_lines(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _splice_token(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    return data[:start] + dice.choice(TOKENS) + data[dice.choice((start, end)) :]


def _splice_word(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Put a word or a line of a seed in the place of another word."""
    here = list(_WORD.finditer(data))
    there = dice.choice((_WORD, _LINE)).findall(dice.choice(seeds))
    if not here or not there:
        return data
    match = dice.choice(here)
    return data[: match.start()] + dice.choice(there) + data[match.end() :]


def _empty_word(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Put a token, or nothing, in the place of a word."""
    here = list(_WORD.finditer(data))
    if not here:
        return data
    match = dice.choice(here)
    return data[: match.start()] + dice.choice((b"", *TOKENS)) + data[match.end() :]


def _strange_key(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Put a key that is no name in the place of another."""
    here = list(_KEY.finditer(data))
    if not here:
        return data
    match = dice.choice(here)
    return data[: match.start(1)] + dice.choice(KEYS) + data[match.end(1) :]


def _huge_number(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    here = list(_NUMBER.finditer(data))
    if not here:
        return data + dice.choice(NUMBERS)
    match = dice.choice(here)
    return data[: match.start()] + dice.choice(NUMBERS) + data[match.end() :]


def _nest(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    depth = dice.choice(DEPTHS)
    opened, closed = dice.choice(((b"[", b"]"), (b"{a=", b"}"), (b'{"a":', b"}"), (b"a.", b""), (b"(", b")")))
    return data[:start] + opened * depth + data[start:end] + closed * depth + data[end:]


def _long(data: bytes, dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    at = _place(data, dice)
    return (
        data[:at] + dice.choice((*TOKENS, b"a", b"a.", b"a,", b"9", b"ab ")) * dice.choice((10, 100, 3000)) + data[at:]
    )


_STEPS: tuple[Step, ...] = (
    _flip,
    _leave_out,
    _cut_off,
    _noise,
    _double,
    _double_line,
    _swap_lines,
    _splice_token,
    _splice_word,
    _empty_word,
    _strange_key,
    _huge_number,
    _nest,
    _long,
)
