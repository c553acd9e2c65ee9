"""Compile the launcher of the binary and link it with the image of its pieces (image_file.py), for x86-64.

The compiler, the headers and the C library are packages of the suite (interpreters.py). The launcher itself asks for no
library: the kernel starts it in a system that holds nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from interpreters import VERSION, Interpreter
from places import BuildError, Places, run, say

SOURCES = Path(__file__).resolve().parent / "launcher"
TRIPLET = "x86_64-linux-gnu"
REPRODUCIBLE = ("-O2", "-s", "-DNDEBUG", "-Wl,--build-id=none", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter")
# Nothing of this may ask for what only a C library sets up.
FREESTANDING = (
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-pie",
    "-fcf-protection=none",
    "-fno-tree-loop-distribute-patterns",
)
STATIC = ("-static", "-no-pie", "-nostdlib", "-Wl,--gc-sections", "-Wl,-z,noexecstack")
# The libraries that take longest to compress, and that are in the packages as they are in the binary.
LARGEST = (f"libpython{VERSION}.so.1.0", "libcrypto.so.3", "libc.so.6", "libm.so.6", "libssl.so.3")
OPENS = bytes.fromhex("b801010000 4889fe bf9cffffff 0f05")  # as in launcher/image.h


Packing = tuple[str, Mapping[str, str]]  # a Python with the locked zstandard, and its environment


def compress_ahead(places: Places, target: Path, packing: Packing) -> None:
    """Compress the largest libraries with the given Python."""
    roots = (places.work / "python", target)
    found = {path.name: path for root in roots for path in root.rglob("*.so.*") if path.parent.name == TRIPLET}
    python, environment = packing
    command = [python, "-s", str(SOURCES.parent / "frames_ahead.py"), str(_ahead(places))]
    libraries = [str(found[name]) for name in LARGEST if name in found]
    run([*command, *libraries], environment=environment, log=places.work / "ahead.log")


def _ahead(places: Places) -> Path:
    folder = places.work / "work" / "ahead"
    folder.mkdir(exist_ok=True)
    return folder


def link(places: Places, python: Interpreter, target: Path) -> None:
    """Write the binary to `dist/cosmos` below the work folder."""
    say("compiling its launcher")
    libraries = target / "usr" / "lib" / TRIPLET
    refuse_another_glibc(next(target.rglob("ld-linux-x86-64.so.2")).read_bytes())
    work = places.work / "work"
    headers = [f"-I{target / 'usr' / 'include' / f'python{VERSION}'}"]
    libpython = next((places.work / "python").rglob(f"libpython{VERSION}.so.1.0"))
    program = ["-fPIE", "-pie", *headers, str(SOURCES / "program.c"), str(libpython), "-Wl,--allow-shlib-undefined"]
    compile_with(places, python, target, [*REPRODUCIBLE, *program, "-static-libgcc", "-o", str(work / "program")])
    say("compressing its pieces")
    run(
        [
            *(str(places.venv / "bin" / "python"), "-s", str(SOURCES.parent / "image_file.py")),
            *(str(work / "cosmos" / "collected.json"), str(target), str(work / "program")),
            *(str(_ahead(places)), str(work / "image")),
        ],
        # no columns in the code's tracebacks: without sources they show nothing
        environment=python.environment(places) | {"PYTHONNODEBUGRANGES": "1"},
        log=places.work / "image.log",
    )
    sources = [str(SOURCES / "start.S"), str(SOURCES / "launcher.c"), str(libraries / "libzstd.a")]
    whole = [
        *REPRODUCIBLE,
        *FREESTANDING,
        *STATIC,
        "-Wa,-Iwork",
        *sources,
        "-o",
        str(places.work / "dist" / "cosmos"),
    ]
    compile_with(places, python, target, whole)


def compile_with(places: Places, python: Interpreter, target: Path, arguments: Sequence[str]) -> None:
    """Run the suite's compiler in the work folder, so that no option needs a path whose commas would split it."""
    compiler = places.work / "python" / "usr" / "bin" / f"{TRIPLET}-gcc-12"
    run(
        [str(compiler), f"--sysroot={target}", *arguments],
        environment=python.environment(places),
        log=places.work / "compiler.log",
    )


def refuse_another_glibc(loader: bytes) -> None:
    """Raise unless glibc's loader opens libraries with the instructions that the launcher changes, in one place."""
    if loader.count(OPENS) != 1:
        raise BuildError(
            f"glibc's loader has {loader.count(OPENS)} places that open a library as the launcher knows it; expected 1",
            "disassemble __open_nocancel in ld-linux-x86-64.so.2, and mend OPENS in freeze/launcher/image.h and in "
            "freeze/launching.py",
        )
