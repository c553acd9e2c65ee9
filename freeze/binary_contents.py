"""Describe the contents and the needs of a single-file binary as JSON. The Python that built it must run this.

    {"entries": [{"name": "PYZ.pyz/cosmos.digest", "kind": "code", "size_bytes": 2811, "digest": "sha256:…"}, …],
     "libraries": ["libc.so.6", …],      shared libraries that must be in the system
     "glibc": "2.35",                    the oldest glibc that has every symbol
     "absolute": ["PYZ.pyz/click.core: /home/…/click/core.py", …]}   what names a folder of the builder: code objects,
                                         RUNPATHs, and any bytes that spell one of the folders given as arguments

The order of `entries` is the archive's own: two binaries are compared entry by entry.
"""

from __future__ import annotations

import argparse
import io
import json
import marshal
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from image_file import MAGIC, modules_in, pieces_in

if TYPE_CHECKING:
    from PyInstaller.archive.readers import CArchiveReader

_PYC_HEADER_BYTES = 16  # PEP 552: magic, flags, and 8 bytes of hash or of time and size
_NEEDED = re.compile(r"^\s+NEEDED\s+(\S+)$", re.MULTILINE)
_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)")
_RUNPATH = re.compile(r"^\s+(?:RUNPATH|RPATH)\s+(\S+)$", re.MULTILINE)
_SONAME = re.compile(r"^\s+SONAME\s+(\S+)$", re.MULTILINE)

Piece = tuple[str, str, bytes]  # name, kind ("code", "library", "data"), bytes


def pieces(binary: Path) -> Iterator[Piece]:
    """Yield every piece of the archive, also of the two archives inside it."""
    data = binary.read_bytes()
    if MAGIC in data:
        yield from _pieces_of_launcher(pieces_in(data))
        return
    from PyInstaller.archive.readers import CArchiveReader  # here, so that the rest can be read without it

    archive = CArchiveReader(str(binary))
    for name, (*_, kind) in archive.toc.items():
        if kind == "z":
            yield from _modules(archive, name)
        elif kind == "o":
            yield name, "option", b""
        elif name == "base_library.zip":
            yield from _zipped(archive.extract(name), name)
        else:
            content = archive.extract(name)
            yield name, "library" if kind == "b" else "code" if kind in "smM" else "data", content


def _pieces_of_launcher(found: dict[str, bytes]) -> Iterator[Piece]:
    for name, content in found.items():
        yield name, "library" if content.startswith(b"\x7fELF") else "data", content
    yield from ((f"code/{name}", "code", code) for name, code in modules_in(found))


def _modules(archive: CArchiveReader, name: str) -> Iterator[Piece]:
    inner = archive.open_embedded_archive(name)
    for module in inner.toc:
        content = inner.extract(module, raw=True)
        yield f"{name}/{module}", "code" if content else "namespace", content or b""


def _zipped(data: bytes, name: str) -> Iterator[Piece]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            yield f"{name}/{info.filename}", "code", archive.read(info)[_PYC_HEADER_BYTES:]
    yield name, "data", data


def absolute_names(code: CodeType) -> set[str]:
    """Return the absolute file names that `code` and the code in it carry."""
    found = {code.co_filename} if code.co_filename.startswith("/") else set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= absolute_names(constant)
    return found


def _code(content: bytes) -> CodeType | None:
    for skip in (0, _PYC_HEADER_BYTES):
        try:
            code = marshal.loads(content[skip:])  # noqa: S302 - our own build's output
        except (ValueError, EOFError, TypeError):
            continue
        if isinstance(code, CodeType):
            return code
    return None


def _headers(library: Path) -> str:
    done = subprocess.run(["objdump", "-p", str(library)], check=True, capture_output=True, text=True)  # noqa: S603, S607 - binutils of the builder
    return done.stdout


def headers_of(libraries: list[Piece]) -> dict[str, str]:
    """Return name -> the ELF headers as objdump prints them."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "library.so"
        for name, _, content in libraries:
            file.write_bytes(content)
            found[name] = _headers(file)
    return found


def needs(headers: dict[str, str]) -> tuple[list[str], str]:
    """Return the shared libraries that the system must have, and the oldest glibc that has every symbol."""
    text = "".join(headers.values())
    inside = {Path(name).name for name in headers} | set(_SONAME.findall(text))
    versions = {(int(major), int(minor)) for major, minor in _GLIBC.findall(text)}
    return sorted(set(_NEEDED.findall(text)) - inside), "{}.{}".format(*max(versions))


def absolute(found: list[Piece], headers: dict[str, str], folders: list[str]) -> Iterator[str]:
    """Yield `piece: folder` for each piece that names a folder of the builder."""
    for name, kind, content in found:
        code = _code(content) if kind == "code" else None
        for path in sorted(absolute_names(code)) if code else ():
            yield f"{name}: {path}"
        yield from (f"{name}: {folder}" for folder in folders if folder.encode() in content)
    for name, text in headers.items():
        paths = ":".join(_RUNPATH.findall(text)).split(":")
        yield from (f"{name}: RUNPATH {path}" for path in paths if path.startswith("/"))


def described(binary: Path, folders: list[str]) -> dict[str, object]:
    """Return the document that this module's docstring shows."""
    found = list(pieces(binary))
    headers = {"the loader": _headers(binary)} | headers_of([piece for piece in found if piece[1] == "library"])
    libraries, glibc = needs(headers)
    return {
        "entries": [
            {"name": name, "kind": kind, "size_bytes": len(content), "digest": f"sha256:{sha256(content).hexdigest()}"}
            for name, kind, content in found
        ],
        "libraries": libraries,
        "glibc": glibc,
        "absolute": list(absolute(found, headers, folders)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Say what a single-file binary holds and needs, as JSON.")
    parser.add_argument("binary", type=Path, help="the binary to read")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("folders", nargs="*", help="folders that nothing in the binary may name")
    options = parser.parse_args()
    options.out.write_text(json.dumps(described(options.binary, options.folders), indent=1) + "\n")
