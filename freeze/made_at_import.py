"""Record what Python compiles at each import of our modules. The binary then brings it along compiled.

Half of the time of an import goes into two things that give the same result each time: `dataclasses` and
`cosmos.records` write methods of a class as text and compile it, and `re` compiles the patterns of a module. This runs
each import once, in the Python that is frozen, and returns both. `cosmos.records` compiles for the first object of a
class; here it does so for each class. launcher/importer.py looks a text or pattern up before it is compiled; what is
not listed is compiled as ever. What is run is the code that the binary holds, so nothing is compiled twice.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.machinery
import importlib.util
import marshal
import re
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final

Key = tuple[int, int, int]
_COMPILER: Final = re._compiler  # the module that knows a pattern's code


def key_of(text: str) -> Key:
    """Return the key of a text of `dataclasses`, as launcher/importer.py computes it."""
    raw = text.encode()
    return len(raw), zlib.crc32(raw), zlib.adler32(raw)


class Compiled(importlib.machinery.SourceFileLoader):
    """Load a module from its marshalled code instead of its file, and find the others of the same kind."""

    def __init__(self, name: str, path: str, codes: Mapping[str, bytes]) -> None:
        super().__init__(name, path)
        self.code = codes[name]

    def get_code(self, _name: str) -> CodeType:
        code: CodeType = marshal.loads(self.code)  # noqa: S302 - our own build's output
        return code


class Finder:
    """Find the modules whose code is given, below the folder of their sources."""

    def __init__(self, codes: Mapping[str, bytes], source_root: Path) -> None:
        self.codes, self.source_root = codes, source_root

    def find_spec(
        self, name: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module; None for one whose code is not given, or whose source lies elsewhere."""
        place = self.source_root / name.replace(".", "/")
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if name not in self.codes or not source.is_file():
            return None
        loader = Compiled(name, str(source), self.codes)
        return importlib.util.spec_from_file_location(name, source, loader=loader)


def made_by_imports(names: Iterable[str], source_root: Path, codes: Mapping[str, bytes]) -> dict[str, bytes]:
    """Import the modules; return the piece "made", and the piece "methods" into which its first part points.

    `codes` are marshalled codes by module: what lies below `source_root` is run from them. Raises `ValueError` if two
    texts have one key.
    """
    texts: dict[str, CodeType] = {}
    patterns: dict[tuple[str | bytes, int], tuple[object, ...]] = {}

    def run(text: str, names: dict[str, Any], made: dict[str, Any]) -> None:
        texts[text] = compile(text, "<string>", "exec", dont_inherit=True)
        exec(texts[text], names, made)  # noqa: S102 - what dataclasses does

    compiled = _COMPILER.compile

    def compiled_and_kept(pattern: str | bytes, flags: int = 0) -> re.Pattern[str]:
        if isinstance(pattern, str | bytes):
            patterns[pattern, int(flags)] = arguments_of(pattern, int(flags))
        kept: re.Pattern[str] = compiled(pattern, flags)
        return kept

    vars(dataclasses)["exec"] = run
    _COMPILER.compile = compiled_and_kept
    re.purge()
    sys.path.insert(0, str(source_root))
    finder = Finder(codes, source_root)
    sys.meta_path.insert(0, finder)
    try:
        records = importlib.import_module("cosmos.records")
        vars(records)["exec"] = run
        for name in names:
            for one in list(vars(importlib.import_module(name)).values()):
                if isinstance(one, type) and dataclasses.is_dataclass(one):
                    records.compiled_init(one)
    finally:
        sys.meta_path.remove(finder)
        del sys.path[0], vars(dataclasses)["exec"]
        vars(records).pop("exec", None)
        _COMPILER.compile = compiled
    return pieces_of(texts, patterns)


def arguments_of(pattern: str | bytes, flags: int) -> tuple[object, ...]:
    """Return what `re` gives to `_sre.compile` for a pattern (re/_compiler.py, `compile`)."""
    parsed = re._parser.parse(pattern, flags)
    names = parsed.state.groupdict
    by_number: list[str | None] = [None] * parsed.state.groups
    for name, number in names.items():
        by_number[number] = name
    code = list(map(int, _COMPILER._code(parsed, flags)))
    return pattern, int(flags | parsed.state.flags), code, parsed.state.groups - 1, dict(names), tuple(by_number)


def pieces_of(
    texts: Mapping[str, CodeType], patterns: Mapping[tuple[str | bytes, int], tuple[object, ...]]
) -> dict[str, bytes]:
    """Return the pieces, in the order of texts and patterns."""
    places: dict[Key, tuple[int, int]] = {}
    codes, place = [], 0
    for text, code in sorted(texts.items()):
        raw = marshal.dumps(code)
        if key_of(text) in places:
            raise ValueError(f"two texts of dataclasses have one key: {text[:60]!r}")
        places[key_of(text)] = (place, len(raw))
        codes.append(raw)
        place += len(raw)
    rows = sorted(patterns.items(), key=repr)
    return {"made": marshal.dumps((places, dict(rows))), "methods": b"".join(codes)}
