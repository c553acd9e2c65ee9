"""The limits that cold_bench and warm_bench hold Cosmos against, each one plain program with the same libraries.

python tests/bench/plain.py LEVEL ARCHIVE…    what no build can avoid
python tests/bench/plain.py look IMAGE        what no check of an image can avoid
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import zstandard

_PIECE = 1 << 20


def limit(archives: Iterable[str], level: str) -> None:
    """Do what a build cannot avoid, and nothing else: read, hash, unpack, hash, pack."""
    packer = zstandard.ZstdCompressor(level=int(level), write_checksum=True)
    for archive in archives:
        data = Path(archive).read_bytes()
        hashlib.sha256(data).digest()
        content = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 32)
        hashlib.sha256(content).digest()
        packer.compress(content)


def look_limit(image: str) -> None:
    """Do what a check of an image cannot avoid, and nothing else: read, hash, unpack, hash."""
    packed, content = hashlib.sha256(), hashlib.sha256()
    with Path(image).open("rb") as stream:
        while piece := stream.read(_PIECE):
            packed.update(piece)
        stream.seek(0)
        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as reader:
            while piece := reader.read(_PIECE):
                content.update(piece)


if __name__ == "__main__":
    what, *files = sys.argv[1:]
    look_limit(files[0]) if what == "look" else limit(files, what)
