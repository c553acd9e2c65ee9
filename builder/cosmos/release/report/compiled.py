"""The code that Jinja makes of the page's template, kept as Python keeps the code of a module: in `__pycache__`.

To make it takes longer than to fill the page in, and it is the same for every release. The kept code counts only if it
stands under the digest of all that it follows from, and of itself. Missing, damaged and older code is made again.
Whoever can write into `__pycache__` can exchange the code of every module there as well (docs/decisions/0061).

Nothing is kept where Python keeps nothing: with `-B`, in a folder that cannot be written, in the single-file binary.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Final

import jinja2

from cosmos.durable import durable_file
from cosmos.errors import CosmosError
from cosmos.limits import MIB
from cosmos.reading import read_if_there

_MAX_BYTES: Final = 1 * MIB  # of the code; it has 40 KiB
_DIGEST_BYTES: Final = 32


def compiled_template(environment: jinja2.Environment, text: str) -> jinja2.Template:
    """Return the template of `text`, as `environment` compiles it."""
    place = _place()
    head = b"" if place is None else _terms(text)
    code = None if place is None else _kept(place, head)
    if code is None:
        code = environment.compile(text)
        if place is not None and not sys.dont_write_bytecode:
            _keep(place, head, code)
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


def _terms(text: str) -> bytes:
    """Return all that the code follows from: the module `page` says what the environment is."""
    own = Path(__file__).with_name("page.py").read_bytes()
    return repr((sys.version, sys.flags.optimize, jinja2.__version__, own, text)).encode()


def _place() -> Path | None:
    """Return the file beside the code of this module; None if Python keeps no such code."""
    cached = None if __spec__ is None else __spec__.cached
    return (
        None
        if cached is None or getattr(sys, "frozen", False)
        else Path(cached).with_name(f"page.html.{sys.implementation.cache_tag}")
    )


def _kept(place: Path, head: bytes) -> CodeType | None:
    with suppress(OSError, CosmosError):
        data = read_if_there(place, _MAX_BYTES) or b""
        if data[:_DIGEST_BYTES] == _digest(head, data[_DIGEST_BYTES:]):
            code = marshal.loads(data[_DIGEST_BYTES:])  # noqa: S302 - as Python does with the files beside it
            return code if isinstance(code, CodeType) else None
    return None


def _keep(place: Path, head: bytes, code: CodeType) -> None:
    raw = marshal.dumps(code)
    with suppress(OSError, CosmosError), durable_file(place) as stream:
        stream.write(_digest(head, raw) + raw)


def _digest(head: bytes, raw: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(head).digest() + raw).digest()
