"""How long `cosmos diff` takes on two large images that differ in three files, and how much memory.

PYTHONPATH=tests python tests/bench/diff_bench.py [GIB]
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cosmos.pack.image_file import PackedLayer, image_pieces, pack_layer
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

STARS = 64
FILE_BYTES = 1 << 20


def noise(seed: str, size: int) -> bytes:
    """Return bytes that do not compress, the same at each run."""
    return hashlib.shake_128(seed.encode()).digest(size)


def layers(gib: float, changed: frozenset[str]) -> Iterator[PackedLayer]:
    """Yield the layers of an image of `gib` GiB; the files in `changed` differ by one byte."""
    folders = [Entry(path=TreePath(b"s%d" % star), kind="dir", mode=0o755) for star in range(STARS)]
    yield pack_layer("directories", folders, 1)
    files = int(gib * (1 << 30) / STARS / FILE_BYTES)
    for star in range(STARS):
        entries = []
        for file in range(files):
            name = f"s{star}/f{file}"
            data = bytearray(noise(name, FILE_BYTES))
            if name in changed:
                data[FILE_BYTES // 2] ^= 1
            entries.append(Entry(path=TreePath(name.encode()), kind="file", mode=0o644, content=bytes(data)))
        yield pack_layer(f"star{star}-1.0.0", entries, 1)


def write(file: Path, gib: float, changed: frozenset[str]) -> None:
    """Write one image."""
    with file.open("wb") as stream:
        for piece in image_pieces(list(layers(gib, changed)), {}):
            stream.write(piece)


def main() -> None:
    """Make two images in other processes, compare them, and print the figures."""
    match sys.argv[1:]:
        case ["write", file, gib, *changed]:
            return write(Path(file), float(gib), frozenset(changed))
        case words:
            gib = words[0] if words else "2"
    with tempfile.TemporaryDirectory() as folder:
        old, new = f"{folder}/old.tar.zst", f"{folder}/new.tar.zst"
        for file, changed in ((old, ()), (new, ("s0/f1", "s9/f2", "s33/f0"))):
            subprocess.run([sys.executable, __file__, "write", file, gib, *changed], check=True)
        print(f"two images of {Path(old).stat().st_size / 2**30:.2f} GiB, {STARS} layers")
        program = Path(sys.executable).with_name("cosmos")
        start = time.monotonic()
        running = subprocess.Popen([program, "diff", old, new])
        _, status, used = os.wait4(running.pid, 0)
        wall = time.monotonic() - start
        print(f"exit {os.waitstatus_to_exitcode(status)}, {wall:.2f} s, {used.ru_utime + used.ru_stime:.2f} CPU s, "
              f"{used.ru_maxrss / 1024:.0f} MiB")  # fmt: skip
    return None


main()
