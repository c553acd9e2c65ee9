"""Archives and images with random faults, given to the program's readers.

`python -m fakes.mutated_archives KIND SEED N` tries N mutations of the kind's samples in this process, under a limit of
1 GiB of memory and an alarm after 30 seconds of the processor each, and prints a JSON object: the outcome -> how many.
An outcome is "read", or the name of the error's family. Any other error, memory that runs out, and the alarm are bugs:
their tracebacks are printed, with the number that makes the mutation again.

Most mutations are made inside: the payload is changed, then packed again, with checksums and digests put right. So they
pass the outer checks and reach the readers behind them.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import lzma
import random
import resource
import signal
import sys
import tarfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import zstandard

from cosmos.canon import canonical_json
from cosmos.content import Content
from cosmos.debian.deb import ar_members, read_deb
from cosmos.errors import CosmosError
from cosmos.limits import Budget
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.pack.image_file import ImageReader, end_layer, image_pieces
from cosmos.pack.layer import PackedLayer, pack_layer
from cosmos.pack.packed_tar import read_packed_tar
from cosmos.pack.seek_table import read_seek_table, seek_table
from cosmos.pack.star_archive import read_star, star_contents, unpacked_star, write_star
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.pack.untar import read_tar
from cosmos.pack.zst import decompress_exactly, skippable_frame
from cosmos.spool import Spool
from cosmos.stellar.kernel_modules import kernel_modules
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import parse_manifest
from cosmos.treepath import TreePath
from fakes.debs import ar, control_text, make_deb, tar
from fakes.modules import make_module

SECONDS: Final = 30
MEMORY_BYTES: Final = 1 << 30
_EXTREMES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)
_WORDS: Final = (
    *(b"../../x", b"/abs", b"\0", b"\xff\xfe", b"a" * 300, b"'", b"path=", b"GNU.sparse.map=0,1", b"ustar\x0000"),
    *(b"ustar  \0", b"-1", b"99999999999", b"1e9", b"{}", b"[[[[", b"\xe2\x80\xae", b"hardlink", b"sha256:"),
)
_FIELDS: Final = (  # of a tar header: where it begins, how long it is
    *((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (157, 100), (257, 8), (329, 8), (337, 8)),
    (345, 155),
)
_KEYWORDS: Final = (
    *(b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"atime", b"hdrcharset", b"comment", b"uname"),
    *(
        b"SCHILY.xattr.user.a",
        b"LIBARCHIVE.xattr.user.a",
        b"GNU.sparse.major",
        b"GNU.sparse.name",
        b"SCHILY.acl.access",
    ),
)
_VALUES: Final = (
    *(b"usr/new", b"usr/a", b"../x", b"/x", b"", b"0", b"1", b"1500", b"2000", b"-1", b"1.5", b"1e9", b"BINARY"),
    *(b"MQ==", b"MQ", b"\xff\xfe", b"a\0b", b"9" * 30, b"n" * 1025, b"\xe2\x80\xaex"),
)


# --- mutations


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return `data` with one to four faults."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(out) + 1)
        match chance.randrange(8):
            case 0:
                out[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[place : place + chance.choice((1, 2, 7, 512, len(out)))]
            case 2:
                out[place:place] = chance.choice(_WORDS)
            case 3:
                word = chance.choice(_WORDS)
                out[place : place + len(word)] = word
            case 4:
                size = chance.choice((1, 2, 4, 8))
                out[place : place + size] = (chance.choice(_EXTREMES) % (1 << 8 * size)).to_bytes(size, "little")
            case 5:
                start = chance.randrange(len(out) + 1)
                out[place:place] = out[start : start + chance.choice((4, 512, 1024, 4096))]
            case 6:
                for at in range(place, min(place + chance.choice((1, 8, 100)), len(out))):
                    out[at] ^= 1 << chance.randrange(8)
            case _:
                out[place : place + 12] = b"%011o\0" % chance.choice((0, 1, 511, 513, 1 << 20, 8 << 30))
    return bytes(out)


def mutated_tar(chance: random.Random, data: bytes) -> bytes:
    """Return a tar archive with faults in its headers, whose checksums are right again, or with other members added."""
    out = bytearray(mutated(chance, data) if chance.random() < 0.2 else data)
    headers = [at for at in range(0, len(out) - 511, 512) if out[at + 257 : at + 262] == b"ustar"]
    for at in chance.sample(headers, min(len(headers), chance.randint(0, 2))):
        field, size = chance.choice(_FIELDS)
        number = chance.choice((0, 1, 0o644, 0o7777, 512, 1 << 20, (1 << 33) - 1, 1 << 63))
        word = chance.choice(_WORDS)[:size]
        match chance.randrange(6):
            case 0:
                out[at + field + chance.randrange(size)] = chance.randrange(256)
            case 1:
                out[at + field : at + field + size] = bytes(chance.randrange(256) for _ in range(size))
            case 2 | 3:
                out[at + field : at + field + size] = (b"%0*o" % (size - 1, number))[-size + 1 :].ljust(size, b"\0")
            case 4:
                out[at + 156] = chance.choice(b"0123456789xgLKSMVDN\0A")
            case _:
                out[at + field : at + field + len(word)] = word
        out[at : at + 512] = _summed(bytes(out[at : at + 512]))
    blocks = [bytes(out[at : at + 512]) for at in range(0, len(out), 512)]
    if chance.random() < 0.2:
        source, place = chance.randrange(len(blocks)), chance.randrange(len(blocks))
        blocks[place:place] = blocks[source : source + chance.randint(1, 3)]
    if chance.random() < 0.4:
        place = (chance.choice(headers) if headers else 0) // 512
        blocks[place:place] = [_extension(chance)]
    return b"".join(blocks)


def _extension(chance: random.Random) -> bytes:
    """Return an extended header: well-formed pax records, or a GNU long name, with odd values."""
    if chance.random() < 0.3:
        kind, body = chance.choice((b"L", b"K")), chance.choice((*_WORDS, b"usr/" + b"n" * 200)) + b"\0"
    else:
        kind, body = chance.choice((b"x", b"x", b"x", b"g")), b""
        for _ in range(chance.randint(1, 3)):
            rest = b" %b=%b\n" % (chance.choice(_KEYWORDS), chance.choice(_VALUES))
            length = len(rest) + len(str(len(rest) + 2))
            body += b"%d%b" % (length, rest)
    numbers = b"0000644\x000000000\x000000000\0%011o\x0000000000000\0" % len(body)
    head = b"././@X".ljust(100, b"\0") + numbers + bytes(8) + kind + bytes(100) + b"ustar\x0000"
    return _summed(head.ljust(512, b"\0")) + body + bytes(-len(body) % 512)


def _summed(head: bytes) -> bytes:
    """Return a tar header with its checksum put right."""
    return head[:148] + b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 8 * 32) + head[156:]


def mutated_json(chance: random.Random, data: bytes) -> bytes:
    """Return a JSON document with a fault: a value exchanged, left out or doubled, or a fault in its text."""
    if chance.random() < 0.4:
        return mutated(chance, data)
    document = json.loads(data)
    places: list[tuple[dict[str, object] | list[object], str | int]] = []
    waiting: list[object] = [document]
    while waiting:
        value = waiting.pop()
        pairs = [*(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())]
        places += [(value, key) for key, _ in pairs]
        waiting += [child for _, child in pairs]
    where, key = chance.choice(places)
    values: list[object] = [
        None,
        True,
        -1,
        0,
        1 << 63,
        10**400,
        "",
        "x",
        "\ud800",
        [],
        {},
        [[]] * 40,
        1.5,
        "sha256:" + "0" * 64,
    ]
    old = where[key]
    if isinstance(old, str) and chance.random() < 0.7:
        words = old.split(" ")
        at = chance.randrange(len(words))
        words[at] = chance.choice(
            ["-3", "0", "-", "99999999999999999999999", "07777777", "\\x00", "../x", "a/b", "dir", "1:2", "a=00", "é"]
        )
        values = [" ".join(words)]
    if isinstance(old, int) and chance.random() < 0.5:
        values = [old + 1, old - 1, old * 2, -old]
    match chance.randrange(4):
        case 0:
            del where[key]
        case 1 if isinstance(where, list):
            where.append(old)
        case _:
            where[key] = chance.choice(values)
    return json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


# --- samples

_LINKS: Final = [
    Entry(path=TreePath(b"usr"), kind="dir", mode=0o755),
    Entry(path=TreePath(b"usr/a"), kind="file", mode=0o644, content=b"hello" * 300, mtime=7),
    Entry(path=TreePath(b"usr/b"), kind="file", mode=0o4755, uid=3000000, content=b"x", xattrs=((b"user.a", b"1"),)),
    Entry(path=TreePath(b"usr/c"), kind="hardlink", mode=0o644, target=b"usr/a", mtime=7),
    Entry(path=TreePath(b"usr/d"), kind="symlink", mode=0o777, target=b"y" * 130),
    Entry(path=TreePath(b"usr/" + b"z" * 120), kind="file", mode=0o644, content=bytes(2000)),
]
_TAR: Final = b"".join((*tar_members(_LINKS), TAR_END))
_FOREIGN: Final = tar(
    {"usr": None, "usr/bin": None, "usr/bin/x": b"#!/bin/sh\n" * 99, "usr/bin/" + "l" * 150: "x" * 150}
)
_STAR: Final = Star(name=StarName("nano"), version=Version.parse("7.2.0"), install_script="install.lua")
_SCRIPT: Final = b"function install() copy('usr/a', '/usr/a') end\n"
_CONTROL: Final = control_text("x", depends="y (>= 1)")
_LAYERS: Final = [
    pack_layer("directories", [entry for entry in _LINKS if entry.kind == "dir"], 3),
    pack_layer("nano-7.2.0", [entry for entry in _LINKS if entry.kind != "dir"], 3),
    pack_layer("template", [Entry(path=TreePath(b"dev"), kind="char", mode=0o600, rdev=(1, 3))], 3),
]
_IMAGE: Final = b"".join(image_pieces(_LAYERS, {"content-root": "sha256:" + "0" * 64}))
_MODULE: Final = make_module(name="m", depends="", alias="pci:*", softdep="pre: n")
_PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.compress(data, 3),
}


def _packed(chance: random.Random, data: bytes, suffix: str) -> bytes:
    """Return `data` packed, now and then with a fault in the packed form, or in several streams."""
    half = chance.randrange(len(data) + 1)
    several = chance.random() < 0.2
    body = b"".join(map(_PACKERS[suffix], (data[:half], data[half:]) if several else (data,)))
    return mutated(chance, body) if chance.random() < 0.3 else body


# --- what reads them


def _tar_strict(chance: random.Random) -> None:
    data = mutated_tar(chance, _TAR)
    try:
        entries = read_tar(data, "x.tar")
    except CosmosError:
        _demand_refused(lambda: read_tar(_on_disk(data), "x.tar"))
        raise
    assert read_tar(_on_disk(data), "x.tar") == entries
    _demand_as_python(data, entries)


def _demand_refused(judge: Callable[[], object]) -> None:
    with contextlib.suppress(CosmosError):
        judge()
        raise AssertionError("on the disk, it is accepted")


def _on_disk(data: bytes) -> Content:
    return Spool(in_memory=0).add([data])


def _demand_as_python(data: bytes, entries: list[Entry]) -> None:
    """Assert that Python's tarfile finds the same: it is a reader that people use."""
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as archive:
        theirs = [(one.name.encode("utf-8", "surrogateescape"), one.size if one.isreg() else 0) for one in archive]
    ours = [(bytes(one.path), one.size if one.kind == "file" else 0) for one in entries]
    named = [(name.removeprefix(b"./").removesuffix(b"/"), size) for name, size in theirs]
    assert [row for row in named if row[0] not in (b"", b".")] == ours, (named, ours)


def _tar_of_others(chance: random.Random) -> None:
    suffix = chance.choice(list(_PACKERS))
    body = _packed(chance, mutated_tar(chance, chance.choice((_FOREIGN, _TAR))), suffix)
    read_packed_tar(body, suffix, "x.tar", Budget.of(len(body)), rules="published")


def _star(chance: random.Random) -> None:
    star = write_star(_STAR, _SCRIPT, _LINKS, level=1)
    data = mutated_tar(chance, decompress_exactly(bytes(star.data), star.unpacked_bytes, "x"))
    suffix = chance.choice((".zst", ".gz"))
    name, body = f"nano-7.2.0.tar{suffix}", _packed(chance, data, suffix)
    if chance.random() < 0.5:
        size = chance.choice((len(data), len(data) + 512, 0, (8 << 30) - 1, star.unpacked_bytes))
        read_star(body, name, size)
        return
    contents = star_contents(unpacked_star(body, name, Spool()), name, "install.lua")
    Star.parse(contents.manifest, "star.toml")


def _frames(chance: random.Random) -> None:
    data = b"abc" * chance.randrange(1, 3000) + bytes(chance.randrange(300000))
    whole = zstandard.ZstdCompressor(level=chance.choice((1, 19)), write_content_size=chance.random() < 0.5).compress(
        data
    )
    pieces = [whole, skippable_frame(b"x" * 9, 3), whole][: chance.randint(1, 3)]
    body = mutated(chance, b"".join(pieces)) if chance.random() < 0.8 else b"".join(pieces)
    if chance.random() < 0.7:
        decompress_exactly(body, chance.choice((len(data), len(data), 2 * len(data), (4 << 30) - 1)), "x")
    else:
        read_packed_tar(body, ".zst", "x", Budget.of(len(body)))


def _deb(chance: random.Random) -> None:
    suffix = chance.choice(list(_PACKERS))
    good = make_deb(_CONTROL, {"usr": None, "usr/x": b"x" * 999, "usr/y": "x"}, suffix=suffix)
    members = [(name, bytes(body)) for name, body in ar_members(good, "good")]
    members[1] = (
        "control.tar.gz",
        gzip.compress(mutated_tar(chance, tar({"control": mutated(chance, _CONTROL.encode())}))),
    )
    members[2] = (f"data.tar{suffix}", _packed(chance, mutated_tar(chance, _FOREIGN), suffix))
    if chance.random() < 0.1:
        members[chance.randrange(3)] = ("_x" * chance.randint(0, 3), b"y")
    data = ar(members)
    read_deb(mutated(chance, data) if chance.random() < 0.3 else data, "x.deb")


def _module(chance: random.Random) -> None:
    suffix = chance.choice(list(_PACKERS))
    data = _packed(chance, mutated(chance, _MODULE), suffix)
    path = TreePath(b"lib/modules/6/m.ko" + suffix.encode())
    kernel_modules([Entry(path=path, kind="file", mode=0o644, content=data)], ["m"], "linux", Budget(1 << 20))


def _image(chance: random.Random) -> None:
    """An image with faults, whose index and seek table are right for it now and then."""
    *layers, _ = (layer.frame for layer in (*_LAYERS, end_layer()))
    frames = [*layers, end_layer().frame]
    *seeks, place = read_seek_table(io.BytesIO(_IMAGE))
    sealed = _IMAGE[place.offset + 8 + 16 + 32 : place.offset + place.packed_bytes]
    index = json.loads(zstandard.decompress(sealed[8:]))
    sizes = [(len(frame), seek.unpacked_bytes) for frame, seek in zip(frames, seeks, strict=True)]
    if chance.random() < 0.4:
        at = chance.randrange(len(frames))
        content = mutated_tar(chance, zstandard.decompress(frames[at]) or bytes(512))
        frames[at] = zstandard.compress(content, 1)
        sizes[at] = (len(frames[at]), len(content))
        index["layers"][at] |= {
            "digest": f"sha256:{hashlib.sha256(frames[at]).hexdigest()}",
            "packed-bytes": sizes[at][0],
            "unpacked-bytes": sizes[at][1],
        }
    body = canonical_json(index)
    if chance.random() < 0.7:
        body = mutated_json(chance, body)
    size = len(body) if chance.random() < 0.9 else chance.choice(_EXTREMES)
    sealed = size.to_bytes(8, "little") + zstandard.compress(body, 1)
    frame = skippable_frame(b"cosmos-index-v1\n" + hashlib.sha256(sealed).digest() + sealed, 0xC)
    image = b"".join([*frames, frame, seek_table([*sizes, (len(frame), 0)])])
    if chance.random() < 0.2:
        image = mutated(chance, image)
    reader = ImageReader.of_stream(io.BytesIO(image), "x.tar.zst")
    lines = [str(line) for line in reader.lines()]
    assert all(" -" not in " ".join(line.split(" ")[1:5]) for line in lines), lines
    for line in reader.lines():
        if line.kind in ("file", "hardlink"):
            with contextlib.suppress(CosmosError):
                reader.read_file(line.path)
    list(reader.entries())


def _kept_layer(chance: random.Random) -> None:
    record, frame = _LAYERS[1].record(), bytes(_LAYERS[1].frame)
    record = mutated_json(chance, record)
    if chance.random() < 0.3:
        record, frame = mutated(chance, record), mutated(chance, frame)
    layer = PackedLayer.from_record(record, lambda _digest, _size: frame)
    assert layer is not None
    layer.entries()


def _manifest(chance: random.Random) -> None:
    text = "".join(row.partition(" ")[2] + "\n" for row in sorted(_LAYERS[1].rows, key=lambda row: row.split(" ")[9]))
    parse_manifest(mutated(chance, text.encode()), "manifest.txt")


KINDS: Final[dict[str, Callable[[random.Random], None]]] = {
    "tar": _tar_strict,
    "tar-of-others": _tar_of_others,
    "star": _star,
    "zstd": _frames,
    "deb": _deb,
    "module": _module,
    "image": _image,
    "kept-layer": _kept_layer,
    "manifest": _manifest,
}


def accepted_tars(count: int) -> Iterator[bytes]:
    """Yield `count` archives with faults that the strict reader accepts."""
    number = 0
    while count:
        number += 1
        data = mutated_tar(random.Random(f"accepted {number}"), _TAR)
        with contextlib.suppress(CosmosError):
            read_tar(data, "x.tar")
            count -= 1
            yield data


def _alarmed(*_: object) -> None:
    raise TimeoutError(f"took more than {SECONDS} seconds of the processor")


def outcomes(kind: str, seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Yield the outcome of each mutation, and a bug's traceback or ""."""
    for number in range(seed, seed + count):
        chance = random.Random(f"{kind} {number}")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            KINDS[kind](chance)
            yield "read", ""
        except CosmosError as error:
            yield type(error).__name__ if str(error) else "no words", ""
        except BaseException:
            yield "bug", f"{kind} {number}: {traceback.format_exc()}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """Try the mutations that the command line names."""
    kind, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _alarmed)
    found: Counter[str] = Counter()
    for outcome, said in outcomes(kind, seed, count):
        found[outcome] += 1
        if said and found[outcome] <= 5:
            print(said, file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
