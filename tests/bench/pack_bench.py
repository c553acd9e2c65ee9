"""What a tar entry costs, against Python's own tarfile, in one run on one machine: `python tests/bench/pack_bench.py`.

Not a test: it prints CPU microseconds an entry and the ratios, which carry over to other machines where the absolute
figures do not. Each figure is the best of several rounds.
"""

from __future__ import annotations

import gc
import io
import tarfile
import time
from collections.abc import Callable

from cosmos.pack.layer import PackedLayer, pack_layer
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.pack.untar import read_tar
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

FOLDERS = 200
FILES_IN_EACH = 60
ROUNDS = 5


def tree() -> list[Entry]:
    """Return entries like those of a distribution: short names, files of some KiB."""
    entries: list[Entry] = []
    for folder in range(FOLDERS):
        above = b"usr/share/doc/package-%d" % folder
        entries.append(Entry(path=TreePath(above), kind="dir", mode=0o755, mtime=1700000000))
        for file in range(FILES_IN_EACH):
            path = TreePath(above + b"/libfile-%d.so.1" % file)
            content = bytes(97 * (file + folder) % 6000)
            entries.append(Entry(path=path, kind="file", mode=0o644, mtime=1700000000 + file, content=content))
    return entries


def best(work: Callable[[], object]) -> float:
    """Return the least CPU seconds of several rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        work()
        rounds.append(time.process_time() - start)
    return min(rounds)


def written_by_tarfile(entries: list[Entry]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.path.decode())
            member.type = tarfile.DIRTYPE if entry.kind == "dir" else tarfile.REGTYPE
            member.mode, member.mtime, member.size = entry.mode, entry.mtime, entry.size
            archive.addfile(member, io.BytesIO(bytes(entry.content)))
    return stream.getvalue()


def read_by_tarfile(data: bytes) -> list[tuple[str, bytes | None]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(member.name, _content(archive, member)) for member in archive]


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    stream = archive.extractfile(member)
    return stream.read() if stream is not None else None


def main() -> None:
    """Print the table."""
    entries = tree()
    data = b"".join([*tar_members(entries), TAR_END])
    layer = pack_layer("bench", entries, 1)
    record = layer.record()
    rows = [
        ("write", lambda: b"".join([*tar_members(entries), TAR_END]), lambda: written_by_tarfile(entries)),
        ("read", lambda: read_tar(data, "bench"), lambda: read_by_tarfile(data)),
    ]
    print(f"{len(entries)} entries, {len(data)} bytes of tar; CPU microseconds an entry, best of {ROUNDS}")
    for name, ours, theirs in rows:
        mine, other = best(ours) / len(entries) * 1e6, best(theirs) / len(entries) * 1e6
        print(f"{name:6} ours {mine:6.1f}   tarfile {other:6.1f}   ratio {other / mine:5.1f}")
    for name, work in (
        ("pack a layer, level 1", lambda: pack_layer("bench", entries, 1)),
        ("open a kept layer", lambda: PackedLayer.from_record(record, lambda _digest, _size: layer.frame)),
        ("decode and check a layer", layer.entries),
    ):
        print(f"{name:26} {best(work) / len(entries) * 1e6:6.1f}")


if __name__ == "__main__":
    main()
