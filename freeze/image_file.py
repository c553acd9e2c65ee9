"""Write the image of the single-file binary: all pieces of the program, each a zstd frame, that lie in its launcher.

launcher/launcher.c says how it starts, and launcher/image.h how the pieces lie in it. The pieces are

    glibc's loader and libraries, libpython, the libraries that Python's modules need, compiled modules
    program     launcher/program.c, which begins Python
    first       the modules that Python needs before launcher/importer.py can run, and launcher/importer.py
    code-always the code of the modules that every command imports, and of Python's own
    code-worker the code of what a zygote imports for the scripts of stars: nothing else is unpacked there
    code-often  the code of the modules that most commands import
    code-install the code of what more is imported to install stars
    code-seldom the code of the others
    index       where in those five a module lies
    methods     the methods that dataclasses makes for our classes, compiled
    made        where in "methods" the code for a text lies, and the patterns of re, compiled
    *.lua       Nova's own Lua; page.html and page.css of `cosmos report`

Everything comes from the folders and the list that the caller names, in the order of names, so that the same inputs
give the same bytes. The Python that is frozen must run this, for it compiles the modules.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import marshal
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import zstandard
from made_at_import import made_by_imports

SOURCES = Path(__file__).resolve().parent / "launcher"
MAGIC = b"COSMOS1\n"
LEVEL = 18  # 22 takes a fifth more time, and makes the file 13 kB smaller
MAX_THREADS = 4  # each holds 50 MB: the tables of the level
MAX_NAME_BYTES = 63  # as in image.h
ROW = struct.Struct("<64sQQQQ")  # struct piece in image.h
MAX_FIRST_NAME_BYTES = 47  # as in program.c

# The libraries of glibc: a C library that matches its loader, and what it opens by itself.
GLIBC = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libgcc_s.so.1")

# Large, and not loaded by every start: to put their calls right takes about a millisecond for each MB.
CALLS_BY_PLACE = frozenset(("libcrypto.so.3", "libssl.so.3", "lupa.lua54.so"))
_CALL = re.compile(b"[\xe8\xe9]")  # x86: call and jmp, with how far in the next four bytes

# What Python imports before it runs a line of importer.py, and is not in libpython already.
FIRST = ("encodings", "encodings.aliases", "encodings.utf_8")

# In libpython itself (Python/frozen.c): `python3.11 -c 'import _imp; print(_imp._frozen_module_names())'`.
IN_LIBPYTHON = frozenset(
    (
        *("abc", "codecs", "genericpath", "io", "os", "posixpath", "ntpath", "site", "stat", "zipimport", "runpy"),
        *("_collections_abc", "_sitebuiltins", "importlib._bootstrap", "importlib._bootstrap_external"),
        *("importlib.machinery", "importlib.util"),
    )
)

# Of Python's codecs: names and files are UTF-8; the others are asked for by name, here or in a library.
CODECS = frozenset(
    ("ascii", "idna", "latin_1", "punycode", "raw_unicode_escape", "unicode_escape", "utf_16", "utf_32", "utf_8_sig")
)

# What only some commands import.
SELDOM = (
    *("calendar", "concurrent", "csv", "ctypes.util", "email", "fractions", "html", "http", "idna"),
    *("importlib.metadata", "importlib.resources", "jinja2", "logging", "markupsafe", "multiprocessing"),
    *("pickle", "queue", "ssl", "statistics", "stringprep", "tarfile", "zipfile", "encodings.idna"),
    *("cosmos.cli.stellar", "cosmos.debian", "cosmos.image", "cosmos.release", "cosmos.sbom", "cosmos.stellar"),
)

# What besides a command imports that installs stars.
INSTALLS = ("argparse", "cosmos.nova", "cosmos.resolve", "cosmos.sandbox", "subprocess")

# What the zygote of Nova's scripts imports after it was forked. A small machine has no room for other code there.
WORKER = frozenset(
    (
        *("cosmos.limits", "cosmos.nova.messages", "cosmos.nova.outcome", "cosmos.nova.prelude"),
        *("cosmos.nova.runtime", "cosmos.nova.worker", "cosmos.sandbox.exit_status", "cosmos.sandbox.kernel"),
        *("cosmos.sandbox.locked", "cosmos.sandbox.seccomp", "cosmos.sandbox.values", "cosmos.sandbox.wire"),
        *("ctypes", "ctypes._endian", "lupa", "lupa.version"),
    )
)


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# What every command imports, `--version` too.
ALWAYS = frozenset(
    (
        *("cosmos", "cosmos.about", "cosmos.canon", "cosmos.cli", "cosmos.cli.cosmos", "cosmos.cli.cosmos.main"),
        *(
            "cosmos.cli.endings",
            "cosmos.cli.failing",
            "cosmos.cli.terminal",
            "cosmos.digest",
            "cosmos.errors",
            "cosmos.hints",
            "cosmos.links",
            "cosmos.model",
            "cosmos.model.names",
        ),
        *("cosmos.model.reporter", "cosmos.nova", "cosmos.nova.workers", "cosmos.sandbox", "cosmos.sandbox.zygote"),
        *("cosmos.treepath", "http"),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A module of Python code: its name, the path that its tracebacks show, and its code."""

    name: str
    shown: str
    code: bytes

    @property
    def is_package(self) -> bool:
        return self.shown.endswith("/__init__.py")


def make_small(node: ast.AST, *, keeps_docstrings: bool) -> None:
    """Take docstrings and the types in the heads of functions out of a module: nothing reads them while a program runs.

    A class keeps a short docstring, because `dataclasses` makes one where it is missing, and that takes as long as all
    else that it does for the class. The types in a class stay: the fields of dataclasses and of named tuples are made
    from them. Only statements are walked, because no head of a function lies in an expression.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = node.args
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if one is not None:
                one.annotation = None
        node.returns = None
    if not keeps_docstrings and isinstance(node, Documented) and ast.get_docstring(node, clean=False) is not None:
        drop_docstring(node)
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        below = getattr(node, field, ())
        for one in below if isinstance(below, list) else ():  # an IfExp or a Lambda has one expression there
            make_small(one, keeps_docstrings=keeps_docstrings)


def drop_docstring(node: Documented) -> None:
    """Take the docstring out, or put the shortest in its place."""
    first = node.body[0]
    if isinstance(node, ast.ClassDef):
        node.body[0] = ast.copy_location(ast.Expr(ast.copy_location(ast.Constant("."), first)), first)
    elif len(node.body) > 1 or isinstance(node, ast.Module):
        del node.body[0]
    else:
        node.body[0] = ast.copy_location(ast.Pass(), first)


def compiled(name: str, source: Path, *, keeps_docstrings: bool) -> Module:
    """Return a module."""
    is_package = source.name == "__init__.py"
    shown = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
    tree = ast.parse(source.read_bytes(), shown)
    make_small(tree, keeps_docstrings=keeps_docstrings)
    code = compile(tree, shown, "exec", dont_inherit=True, optimize=0)
    return Module(name=name, shown=shown, code=marshal.dumps(code))


def code_piece(name: str) -> str:
    """Return the piece in which the code of a module lies.

    >>> [code_piece(name) for name in ("pathlib", "cosmos.digest", "cosmos.device.status", "cosmos.image.flow")]
    ['code-always', 'code-always', 'code-often', 'code-seldom']
    >>> [code_piece(name) for name in ("cosmos.nova.worker", "cosmos.nova.run")]
    ['code-worker', 'code-install']
    """
    if name in WORKER:
        return "code-worker"
    if name in ALWAYS:
        return "code-always"
    for piece, names in (("code-install", INSTALLS), ("code-seldom", SELDOM)):
        if any(name == one or name.startswith(f"{one}.") for one in names):
            return piece
    is_ours = name.partition(".")[0] in ("cosmos", "nacl", "zstandard", "tomllib", "tomli_w")
    return "code-often" if is_ours else "code-always"


def is_other_codec(name: str) -> bool:
    """Return whether the module is one of Python's codecs that nothing asks for."""
    return name.startswith("encodings.") and name not in FIRST and name.removeprefix("encodings.") not in CODECS


def first_piece(modules: Sequence[Module]) -> bytes:
    """Return the piece "first", as program.c reads it."""
    row = struct.Struct("<48sIII4x")
    place = 8 + row.size * len(modules)
    rows, codes = [], []
    for module in modules:
        rows.append(row.pack(fitting(module.name, MAX_FIRST_NAME_BYTES), place, len(module.code), module.is_package))
        codes.append(module.code)
        place += len(module.code)
    return b"".join([struct.pack("<Q", len(modules)), *rows, *codes])


def code_pieces(modules: Sequence[Module]) -> Iterator[tuple[str, bytes]]:
    """Yield the pieces with code, and their index."""
    index: dict[str, tuple[str, int, int, bool]] = {}
    for piece in ("code-always", "code-worker", "code-often", "code-install", "code-seldom"):
        place, codes = 0, []
        for module in modules:
            if code_piece(module.name) == piece:
                index[module.name] = (piece, place, len(module.code), module.is_package)
                codes.append(module.code)
                place += len(module.code)
        yield piece, b"".join(codes)
    yield "index", marshal.dumps(index)


def image(pieces: Iterable[tuple[str, bytes]], ahead: Path | None = None) -> bytes:
    """Return the pieces as image.h says. They are compressed as they come, some at a time; the bytes do not show it.

    Frames that were made before lie in the folder `ahead`.
    """
    frames: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    waiting: SimpleQueue[tuple[str, bytes] | None] = SimpleQueue()

    def work() -> None:
        while (piece := waiting.get()) is not None:
            frames[piece[0]] = framed(*piece, ahead)

    threads = [Thread(target=work, daemon=True) for _ in range(min(MAX_THREADS, len(os.sched_getaffinity(0))))]
    for thread in threads:
        thread.start()
    try:
        for name, content in pieces:
            if name in sizes:
                raise ValueError(f"{name}: two pieces have this name")
            sizes[name] = len(content)
            waiting.put((name, content))
    except BaseException:  # an interrupt, too: what still waits is not compressed
        with contextlib.suppress(Empty):
            while True:
                waiting.get_nowait()
        raise
    finally:
        for _ in threads:
            waiting.put(None)
    for thread in threads:
        thread.join()
    return joined(frames, sizes)


def joined(frames: Mapping[str, bytes], sizes: Mapping[str, int]) -> bytes:
    """Return the frames of the pieces, whose unpacked sizes are given, as image.h says; `KeyError` if one lacks."""
    place = len(MAGIC) + 8 + ROW.size * len(sizes)
    rows = []
    for name, size_bytes in sorted(sizes.items()):
        rows.append(
            ROW.pack(fitting(name, MAX_NAME_BYTES), place, len(frames[name]), size_bytes, name in CALLS_BY_PLACE)
        )
        place += len(frames[name])
    return b"".join([MAGIC, struct.pack("<Q", len(rows)), *rows, *(frames[name] for name in sorted(sizes))])


def framed(name: str, content: bytes, ahead: Path | None = None) -> bytes:
    """Return the zstd frame of a piece. One in the folder `ahead` is taken, or put there (frames_ahead.py).

    Its name there says what made it: this zstandard, with this zstd in it, at this level.
    """
    packed = called_by_place(content) if name in CALLS_BY_PLACE else content
    made_by = (zstandard.__version__, *zstandard.ZSTD_VERSION, LEVEL)
    kept = ahead / "-".join([hashlib.sha256(packed).hexdigest(), *map(str, made_by)]) if ahead is not None else None
    if kept is not None and kept.exists():
        return kept.read_bytes()
    frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(packed)
    if kept is not None:
        kept.write_bytes(frame)
    return frame


def called_by_place(code: bytes, sign: int = 1) -> bytes:
    """Return x86 code whose calls and jumps name their target's place instead of its distance; `sign` -1 undoes it.

    Calls of one function then have the same bytes everywhere, and zstd finds them. The opcodes stay, so that both
    directions see the same ones. `put_right` in launcher/launcher.c undoes it, too.
    """
    changed = bytearray(code)
    at = _CALL.search(changed)
    while at is not None and at.end() + 4 <= len(changed):
        [word] = struct.unpack_from("<I", changed, at.end())
        struct.pack_into("<I", changed, at.end(), (word + sign * (at.end() + 4)) & 0xFFFFFFFF)
        at = _CALL.search(changed, at.end() + 4)
    return bytes(changed)


def fitting(name: str, most: int) -> bytes:
    """Return a name in bytes; raises `ValueError` if it is too long for its field, which ends with a zero."""
    raw = name.encode()
    if len(raw) > most:
        raise ValueError(f"{name}: a name of a piece has at most {most} bytes")
    return raw


def pieces_in(binary: bytes) -> dict[str, bytes]:
    """Return the pieces of a binary, in its order."""
    start = binary.index(MAGIC)
    [count] = struct.unpack_from("<Q", binary, start + len(MAGIC))
    found = {}
    for number in range(count):
        name, place, packed, size, by_place = ROW.unpack_from(binary, start + len(MAGIC) + 8 + number * ROW.size)
        frame = binary[start + place : start + place + packed]
        content = zstandard.decompress(frame, max_output_size=size)
        found[name.rstrip(b"\0").decode()] = called_by_place(content, -1) if by_place else content
    return found


def modules_in(pieces: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield each module in the pieces with its marshalled code."""
    index: dict[str, tuple[str, int, int, bool]] = marshal.loads(pieces["index"])  # noqa: S302 - our own build's output
    for name, (piece, place, size, _) in sorted(index.items()):
        yield name, pieces[piece][place : place + size]


def glibc(target: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the libraries of glibc; raises `FileNotFoundError` if one is missing."""
    for name in GLIBC:
        places = [path for path in sorted(target.rglob(name)) if path.parent.name.endswith("-linux-gnu")]
        if not places:
            raise FileNotFoundError(target / name)
        yield name, places[0].read_bytes()


def all_pieces(collected: Path, target: Path, program: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the pieces: those that cosmos.spec collected, glibc's, and program.c. What needs no work comes first."""
    lists = json.loads(collected.read_text())
    for name, source in {**lists["libraries"], **lists["data"]}.items():
        yield name, Path(source).read_bytes()
    yield from glibc(target)
    yield "program", program.read_bytes()
    modules = [
        compiled(name, Path(source), keeps_docstrings=name.startswith("cosmos.cli."))
        for name, source in sorted(lists["modules"].items())
        if source not in ("-", None) and name not in IN_LIBPYTHON and not is_other_codec(name)
    ]
    modules.append(compiled("__main__", SOURCES.parent / "entry.py", keeps_docstrings=False))
    first = [module for module in modules if module.name in FIRST]
    first.append(compiled("importer", SOURCES / "importer.py", keeps_docstrings=False))
    rest = [module for module in modules if module.name not in FIRST]
    yield "first", first_piece(first)
    yield from code_pieces(rest)
    ours = [module.name for module in rest if module.name.partition(".")[0] in ("cosmos", "click")]
    codes = {module.name: module.code for module in rest}
    yield from made_by_imports(ours, SOURCES.parents[1] / "builder", codes).items()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the image of the single-file binary.")
    parser.add_argument("collected", type=Path, help="the list that cosmos.spec wrote")
    parser.add_argument("target", type=Path, help="the folder with glibc")
    parser.add_argument("program", type=Path, help="program.c, compiled")
    parser.add_argument("ahead", type=Path, help="the folder in which frames_ahead.py leaves frames")
    parser.add_argument("out", type=Path, help="the file to write")
    options = parser.parse_args()
    options.out.write_bytes(image(all_pieces(options.collected, options.target, options.program), options.ahead))
