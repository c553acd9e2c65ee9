"""Inputs that unpack to much more than they are: each is refused, in memory that follows from its size on disk.

The promise: a refused input takes at most 64 MiB and 16 times its size, the interpreter included. Each attack runs in a
process of its own, which says its peak (`VmHWM` of /proc/self/status). The kernel would end a process that takes 1 GiB,
or the processor for 30 seconds.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from cosmos.canon import canonical_json
from cosmos.digest import Digest
from cosmos.errors import Refused, ScriptFailed
from cosmos.limits import Budget
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.pack.image_file import end_layer
from cosmos.pack.inflate import inflated
from cosmos.pack.layer import PackedLayer, pack_layer
from cosmos.pack.seek_table import seek_table
from cosmos.pack.star_archive import read_star, write_star
from cosmos.pack.zst import compress, skippable_frame
from cosmos.stellar.open_star import open_contents
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.debs import ar, control_text, tar
from fakes.images import index_rows
from fakes.modules import make_module

MIB = 1 << 20
CPU_SECONDS = 30
RUN = """
import atexit, re, resource, sys
def say_peak():
    print("PEAK", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
def work():
    {code}
atexit.register(say_peak)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
sys.argv = sys.argv[1:]
work()
"""
COMMAND = """
    if sys.argv[0] == "cosmos":
        from cosmos.cli.cosmos.main import main
    else:
        from cosmos.cli.stellar.main import main
    main()
"""
READ = """
    from cosmos.errors import CosmosError
    from pathlib import Path
    data = Path(sys.argv[1]).read_bytes()
    try:
        {call}
    except CosmosError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
"""


def peak_of(code: str, *words: str | Path) -> tuple[int, int, str]:
    """Return the exit status, the peak in bytes and the stderr of a Python process that runs `code`."""
    command = [sys.executable, "-c", RUN.format(code=code.strip(), seconds=CPU_SECONDS), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"PEAK (\d+)", done.stderr)
    assert found is not None, done.stderr
    return done.returncode, int(found[1]) * 1024, done.stderr


def demand_cheap(code: str, file: Path, *words: str | Path, status: int, said: str) -> None:
    """Assert that a process refuses `file` with `status`, says `said`, and keeps the promise of this module."""
    got, peak, err = peak_of(code, *words)
    assert (got, said in err) == (status, True), err
    assert peak <= 64 * MIB + 16 * file.stat().st_size, f"{peak // 1024} KiB: {err}"


def zstd_runs(size_bytes: int, *, window: bytes = b"\x58", first: bytes = b"") -> bytes:
    """Return one zstd frame of `first` and zeros, made of blocks of one repeated byte: 32,768 bytes in each byte of it.

    `window` is the frame's window descriptor: 2 MiB unless given (RFC 8878 section 3.1.1.1.2).
    """
    head = b"\x28\xb5\x2f\xfd\x00" + window
    blocks = [(len(first) << 3).to_bytes(3, "little") + first] if first else []
    left = size_bytes - len(first)
    while left:
        size = min(left, 128 << 10)
        left -= size
        blocks.append((size << 3 | 1 << 1 | (left == 0)).to_bytes(3, "little") + b"\0")
    return head + b"".join(blocks)


def zeros_tar(size_bytes: int, name: str = "./data") -> tuple[bytes, int, bytes]:
    """Return a tar archive of one file of zeros, as the part before its content, its length, the part after it."""
    empty = tar({name.removeprefix("./"): b""})
    header = bytearray(empty[:512])
    header[124:136] = b"%011o\0" % size_bytes
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * 32)
    return bytes(header), size_bytes, bytes(1024)


def packed_zeros(suffix: str, size_bytes: int) -> bytes:
    """Return a packed tar archive of one file of zeros, made without holding it."""
    head, size, tail = zeros_tar(size_bytes)
    if suffix == ".zst":
        return zstd_runs(len(head) + size + len(tail), first=head)
    coder: dict[str, Callable[[], object]] = {
        ".gz": lambda: __import__("zlib").compressobj(9, wbits=31),
        ".xz": lambda: lzma.LZMACompressor(preset=0),
        ".bz2": bz2.BZ2Compressor,
        ".lzma": lambda: lzma.LZMACompressor(format=lzma.FORMAT_ALONE, preset=0),
    }
    packer = coder[suffix]()
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join([*parts, packer.compress(tail), packer.flush()])


SUFFIXES = (".gz", ".xz", ".zst", ".bz2", ".lzma")
TOO_MUCH = "unpacks to too much for its size"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_star_that_unpacks_to_much_more_than_it_is(command: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"bomb-1.0.0.tar{suffix}"
    file.write_bytes(packed_zeros(suffix, 96 * MIB))
    demand_cheap(COMMAND, file, "stellar", command, file, status=2 if command == "validate" else 4, said="")


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize("size_bytes", [50 * MIB, 4 << 30])
def test_a_star_of_runs_is_judged_in_pieces(size_bytes: int, tmp_path: Path) -> None:
    """50 MiB are within what any star may have, but the archive has no star.toml: it is refused before it is held."""
    file = tmp_path / "bomb-1.0.0.tar.zst"
    head, size, _ = zeros_tar(size_bytes)
    file.write_bytes(zstd_runs(512 + size + 512, first=head))  # its end is cut off
    got, peak, err = peak_of(COMMAND, "stellar", "validate", file)
    assert got == 2, err
    assert peak <= 64 * MIB + 16 * file.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_package_that_unpacks_to_much_more_than_it_is(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "bomb.deb"
    control = gzip.compress(tar({"control": control_text("x").encode()}))
    body = packed_zeros(suffix, 96 * MIB)
    file.write_bytes(ar([("debian-binary", b"2.0\n"), ("control.tar.gz", control), (f"data.tar{suffix}", body)]))
    call = "from cosmos.debian.deb import read_deb; read_deb(data, 'bomb.deb')"
    demand_cheap(READ.format(call=call), file, "", file, status=4, said=TOO_MUCH)


def test_both_archives_of_a_package_draw_from_one_budget(tmp_path: Path) -> None:
    file = tmp_path / "bomb.deb"
    members = [(f"{name}.tar.zst", packed_zeros(".zst", 48 * MIB)) for name in ("control", "data")]
    file.write_bytes(ar([("debian-binary", b"2.0\n"), *members]))
    call = "from cosmos.debian import deb; from cosmos.limits import Budget\n        budget = Budget.of(len(data))\n"
    call += "        for name, body in list(deb.ar_members(data, 'x'))[1:]:\n"
    call += "            deb._unpacked(name, body, name.partition('.zst')[0], 'bomb.deb', budget)"
    got, _, err = peak_of(READ.format(call=call), "", file)
    assert (got, TOO_MUCH in err) == (4, True), err


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_with_a_fault_behind_many_zeros_is_refused_before_it_is_held(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "bomb.tar"
    file.write_bytes(packed_zeros(suffix, 60 * MIB))
    call = "from cosmos.limits import Budget; from cosmos.pack.packed_tar import read_packed_tar\n"
    call += f"        read_packed_tar(data, '{suffix}', 'bomb.tar', Budget.of(len(data)), rules='published')"
    broken = READ.format(call=call)
    data = bytearray(file.read_bytes())
    data[-1 if suffix == ".zst" else -5] ^= 1  # a checksum; of runs, the last byte
    file.write_bytes(data)
    demand_cheap(broken, file, "", file, status=4, said="bomb.tar")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_modules_of_a_package_draw_from_its_budget(suffix: str, tmp_path: Path) -> None:
    module = make_module(name="m") + bytes(8 * MIB)
    packed = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}[suffix](module)
    file = tmp_path / "module"
    file.write_bytes(packed)
    call = f"""
        from cosmos.limits import Budget
        from cosmos.stellar.kernel_modules import kernel_modules
        from cosmos.tree.entry import Entry
        from cosmos.treepath import TreePath
        names = [TreePath(b"lib/modules/6/%d.ko{suffix}" % at) for at in range(1000)]
        entries = [Entry(path=name, kind="file", mode=0o644, content=data) for name in names]
        kernel_modules(entries, ["0"], "linux", Budget(30 << 20))"""
    got, peak, err = peak_of(READ.format(call=call), "", file)
    assert (got, TOO_MUCH in err) == (4, True), err
    assert peak < 64 * MIB  # one module at a time


# --- images


def image_of(layers: list[PackedLayer], index: bytes) -> bytes:
    """Return an image with any index."""
    sealed = len(index).to_bytes(8, "little") + zstandard.compress(index, 3)
    frame = skippable_frame(b"cosmos-index-v1\n" + hashlib.sha256(sealed).digest() + sealed, 0xC)
    rows = [(len(layer.frame), layer.unpacked_bytes) for layer in layers]
    return b"".join([*(layer.frame for layer in layers), frame, seek_table([*rows, (len(frame), 0)])])


def index_of(layers: list[PackedLayer], meta: object = None) -> bytes:
    """Return the index of `layers`."""
    return canonical_json({"format": 1, "meta": meta or {}, "layers": index_rows(layers)})


def layer_of_runs(size_bytes: int, row: str, *, single_segment: bool) -> PackedLayer:
    """Return a layer of zeros with one row."""
    frame = zstd_runs(size_bytes)
    if single_segment:
        frame = frame[:4] + b"\xa0" + size_bytes.to_bytes(4, "little") + frame[6:]
    return PackedLayer(name="bomb", frame=frame, digest=Digest.of(frame), unpacked_bytes=size_bytes, rows=(row,))


FOLDERS = pack_layer("directories", [Entry(path=TreePath(b"etc"), kind="dir", mode=0o755)], 3)
ROW = f"{3 << 30} file 0644 0 0 3 {Digest.of(b'abc')} - - etc/a -"


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize("single_segment", [False, True], ids=["small window", "window of the whole"])
def test_a_file_deep_in_a_layer_of_runs(single_segment: bool, tmp_path: Path) -> None:
    layers = [FOLDERS, layer_of_runs((1 << 32) - 1, ROW, single_segment=single_segment), end_layer()]
    file = tmp_path / "i.tar.zst"
    file.write_bytes(image_of(layers, index_of(layers)))
    demand_cheap(COMMAND, file, "cosmos", "cat", file, "etc/a", status=4, said="layer bomb")


@pytest.mark.slow
def test_a_large_file_of_an_image_is_written_without_holding_it(tmp_path: Path) -> None:
    content = bytes(100 * MIB)
    layers = [FOLDERS, pack_layer("x", [Entry(path=TreePath(b"etc/a"), kind="file", mode=0o644, content=content)], 3)]
    file = tmp_path / "i.tar.zst"
    file.write_bytes(image_of([*layers, end_layer()], index_of([*layers, end_layer()])))
    count = (
        f"    import subprocess, os\n    with open({str(tmp_path / 'out')!r}, 'wb') as out: os.dup2(out.fileno(), 1)"
    )
    got, peak, err = peak_of(count + COMMAND, "cosmos", "cat", file, "etc/a")
    assert got == 0, err
    assert (tmp_path / "out").stat().st_size == len(content)
    assert peak <= 64 * MIB


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize(
    ("index", "said"),
    [
        (lambda: b'{"format":1,"layers":[],"meta":{"a":[' + b"{}," * (80 * MIB) + b"{}]}}", "index: has"),
        (
            lambda: b'{"format":1,"layers":[],"meta":{"a":[' + b"{}," * (MIB // 2) + b"{}]}}",
            "too many lists and objects",
        ),
        (lambda: b'{"format":1,"layers":[],"meta":{"a":' + b"[" * MIB + b"]" * MIB + b"}}", "too many lists"),
        (lambda: b'{"format":1,"layers":[],"meta":{"a":[' + b"1000," * (MIB // 3) + b"1]}}", "layers: there are 0"),
        (lambda: b'{"format":1,"layers":[],"meta":{"a":[' + b'"ab",' * (MIB // 3) + b"1]}}", "layers: there are 0"),
        (lambda: b'{"format":' + b"1" * MIB + b"}", "index"),
    ],
    ids=["huge", "objects", "depth", "numbers", "strings", "digits"],
)
def test_an_index_that_unpacks_to_much_more_than_the_image(
    index: Callable[[], bytes], said: str, tmp_path: Path
) -> None:
    layers = [FOLDERS, end_layer()]
    file = tmp_path / "i.tar.zst"
    file.write_bytes(image_of(layers, index()))
    demand_cheap(COMMAND, file, "cosmos", "ls", file, status=4, said=said)


def test_an_index_of_many_names_with_a_fault_at_its_end(tmp_path: Path) -> None:
    rows = tuple(f"0 symlink 0777 0 0 0 - - - a{at} b" for at in range(50_000))
    many = PackedLayer(name="bomb", frame=compress([b"x"], 1), digest=Digest.of(b""), unpacked_bytes=1, rows=rows)
    layers = [FOLDERS, many, end_layer()]
    file = tmp_path / "i.tar.zst"
    file.write_bytes(image_of(layers, index_of(layers).replace(b"a49999 b", b"a49998 b")))
    demand_cheap(COMMAND, file, "cosmos", "ls", file, status=4, said="twice")


# --- time


def test_many_small_members_take_no_time_for_what_follows_them() -> None:
    from cosmos.limits import Budget
    from cosmos.pack.inflate import inflated

    empty = gzip.compress(b"")
    assert len(inflated(empty * 60_000, ".gz", Budget(1), "x")) == 0  # it was 60,000 times 1 MiB that was copied


# --- scripts


@pytest.mark.objective("SO-19")
def test_a_script_that_copies_one_file_over_and_over_is_stopped_at_what_its_archive_is_worth() -> None:
    """A star of 2 kB made a layer of 2 GiB this way."""
    script = b'function install() for at = 1, 400 do copy("zeros", "/usr/" .. at) end end'
    zeros = Entry(path=TreePath(b"zeros"), kind="file", mode=0o644, content=bytes(8 * MIB))
    star = Star(name=StarName("bomb"), version=Version.parse("1.0.0"), install_script="install.lua")
    packed = write_star(star, script, [zeros], level=3)
    contents = read_star(packed.data, "bomb-1.0.0.tar.zst", packed.unpacked_bytes)
    assert len(packed.data) < 3000
    with pytest.raises(ScriptFailed, match="it copied more than 64 MiB"):
        open_contents(star, contents).lay({})


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_readers_inside_readers_draw_from_one_budget_and_stop_at_its_end(suffix: str) -> None:
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}[suffix]
    packed, budget = pack(bytes(4 * MIB)), Budget(7 * MIB)
    assert len(inflated(packed, suffix, budget, "first")) == 4 * MIB
    assert budget.left == 3 * MIB
    with pytest.raises(Refused, match="second: unpacks to too much for its size"):
        inflated(packed, suffix, budget, "second")


def test_an_input_is_worth_64_mib_and_256_bytes_for_each_of_its_own() -> None:
    assert Budget.of(0).left == 64 * MIB
    assert Budget.of(10 * MIB).left == (64 + 2560) * MIB
