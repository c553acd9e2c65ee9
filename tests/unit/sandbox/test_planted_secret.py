"""The probe's search of a worker's own memory: it finds a secret wherever it lies, and nothing where there is none."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

FIRST, SECOND = b"0123456789abcdef", b"fedcba9876543210"
PROGRAM = """
import ctypes, mmap, sys
from cosmos.sandbox.locked import _MEMORY_PIECE_BYTES, _found_in_memory
held = mmap.mmap(-1, 3 * _MEMORY_PIECE_BYTES)
at = ctypes.addressof(ctypes.c_char.from_buffer(held))
spans = [tuple(int(part, 16) for part in line.split()[0].split("-")) for line in open("/proc/self/maps")]
first = next(first for first, stop in spans if first <= at < stop)
place = first - at + int(sys.argv[1])
while place < 0:
    place += _MEMORY_PIECE_BYTES
start = bytes.fromhex(sys.argv[2])
if sys.argv[3]:
    held[place : place + 16] = start
    for number in range(16):  # never whole: the question itself would be found
        held[place + 16 + number] = int(sys.argv[3][2 * number : 2 * number + 2], 16)
print(_found_in_memory(start, bytes.fromhex(sys.argv[4])))
"""


def found(distance: int, second: bytes) -> bool:
    """Search for the secret in a process that has it so many bytes behind the end of a piece; `second`: or b""."""
    digest = hashlib.blake2s(SECOND).hexdigest()
    words = [sys.executable, "-c", PROGRAM, str(distance), FIRST.hex(), second.hex(), digest]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return done.stdout == "True\n"


@pytest.mark.parametrize("distance", [0, 5, -1, -15, -16, -17, -31, -32, -33])
def test_a_secret_is_found_also_across_the_end_of_what_is_read_at_once(distance: int) -> None:
    assert found((1 << 20) + distance, SECOND)


def test_half_a_secret_is_no_secret() -> None:
    assert not found(100, b"")
    assert not found(100, SECOND[::-1])
