"""Kernel modules: read each module's dependencies from the module, and make the `modules.dep` for `modprobe`.

A module is an ELF object (64-bit, little-endian; gABI 4.1, "Section Header") whose section `.modinfo` holds `key=value`
strings, each ended by a NUL: `name`, `depends` (modules separated by commas), `softdep` (`pre: a b post: c`), `alias`,
`firmware`. In names of modules, `-` and `_` are the same character. Debian's packages hold no `modules.dep`: depmod
makes it on installation, and Cosmos runs no program of the packages here.

`modules.dep` (modules.dep(5)) has a line `path: path …` for each module, relative to `lib/modules/VERSION`. After the
colon it lists all dependencies of the module; modprobe loads them from right to left.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from cosmos.errors import Malformed, NoSolution
from cosmos.limits import MIB
from cosmos.records import dataclass
from cosmos.treepath import TreePath

_ELF64: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_MAGIC: Final = b"\x7fELF\x02\x01"
_MAX_SECTIONS: Final = 20_000  # amdgpu.ko has 300
_MAX_DEPENDENCY_FILE_BYTES: Final = 16 * MIB  # of all modules of a Debian kernel it has 700 KiB
_MAX_MODINFO_BYTES: Final = 1 * MIB  # of one module; those with the most aliases have 100 KiB
_MODULE: Final = re.compile(rb"(.+)\.ko(?:\.(?:xz|zst|gz))?", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleInfo:
    """The `.modinfo` of one module, names with `_`."""

    name: str
    depends: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()


def is_module(path: TreePath) -> bool:
    """Return whether `path` is named as a kernel module is: `.ko`, also compressed."""
    return _MODULE.fullmatch(path.name) is not None


def module_name(path: TreePath) -> str:
    """Return the module's name from its file's.

    >>> module_name(TreePath(b"lib/modules/6.1/kernel/fs/nls/nls_iso8859-1.ko.xz"))
    'nls_iso8859_1'
    """
    match = _MODULE.fullmatch(path.name)
    return folded((match[1] if match else path.name).decode("utf-8", "backslashreplace"))


def folded(name: str) -> str:
    """Return a module's name in the one spelling."""
    return name.strip().replace("-", "_")


def modinfo(data: bytes | memoryview, source: str) -> ModuleInfo:
    """Return the module's `.modinfo`; raises `Malformed` that names `source`."""
    fields: dict[str, list[str]] = {}
    for row in bytes(_section(memoryview(data), b".modinfo", source)).split(b"\0"):
        key, equals, value = row.partition(b"=")
        if equals:
            fields.setdefault(key.decode("ascii", "replace"), []).append(value.decode("utf-8", "replace"))
    depends = [folded(name) for value in fields.get("depends", []) for name in value.split(",") if name.strip()]
    soft = [word for value in fields.get("softdep", []) for word in value.split() if not word.endswith(":")]
    return ModuleInfo(
        name=folded(fields.get("name", [""])[0]),
        depends=tuple(depends),
        softdeps=tuple(map(folded, soft)),
        aliases=tuple(fields.get("alias", [])),
        firmware=tuple(fields.get("firmware", [])),
    )


def built_in(modules_builtin: bytes) -> frozenset[str]:
    """Return the names in a `modules.builtin`: they need no file."""
    return frozenset(module_name(TreePath(line)) for line in modules_builtin.splitlines() if line.strip())


@dataclass(frozen=True, kw_only=True, slots=True)
class Modules:
    """The modules of one kernel: `files` by path, and the names of built-in modules."""

    files: Mapping[TreePath, ModuleInfo]
    builtin: frozenset[str] = frozenset()

    def with_needs(self, wanted: Sequence[str]) -> tuple[TreePath, ...]:
        """Return the files of `wanted` and of all their dependencies, in byte order; raises `NoSolution`.

        A soft dependency (a module's name, or an alias of modules) is included if the kernel has it.
        """
        paths, answering = self._by_name(), self._by_alias()
        kept: set[TreePath] = set()
        asked = [(folded(name), "the recipe") for name in reversed(wanted)]
        while asked:
            name, asker = asked.pop()
            path = paths.get(name)
            if path is None and name not in self.builtin:
                raise NoSolution(name, f"{asker} wants this kernel module, which the package does not hold")
            if path is None or path in kept:
                continue
            kept.add(path)
            info = self.files[path]
            asked += [(needed, f"module {name}") for needed in reversed(info.depends)]
            for soft in info.softdeps:
                asked += [(found, f"module {name}") for found in ([soft] if soft in paths else answering.get(soft, []))]
        return tuple(sorted(kept))

    def dependency_file(self, kept: Collection[TreePath], folder: TreePath) -> bytes:
        """Return `modules.dep` for the files in `kept`, all below `folder`.

        A circle is a `NoSolution`, a file of more than 16 MiB is `Malformed`.
        """
        paths = self._by_name()
        file = bytearray()
        for path in sorted(kept):
            needs = [needed for needed in reversed(self._load_order(path, paths)) if needed in kept]
            file += _below(path, folder) + b":" + b"".join(b" " + _below(needed, folder) for needed in needs) + b"\n"
            if len(file) > _MAX_DEPENDENCY_FILE_BYTES:
                raise Malformed(path.text, f"modules.dep would have more than {_MAX_DEPENDENCY_FILE_BYTES} bytes")
        return bytes(file)

    def alias_file(self, kept: Collection[TreePath]) -> bytes:
        """Return `modules.alias` for the files in `kept`: what modprobe resolves a device's alias by."""
        rows = ((alias, module_name(path)) for path in sorted(kept) for alias in self.files[path].aliases)
        return "".join(f"alias {alias} {name}\n" for alias, name in rows).encode()

    def soft_dependency_file(self, kept: Collection[TreePath]) -> bytes:
        """Return `modules.softdep` for the files in `kept`, each taken as a `pre:`."""
        rows = ((module_name(path), self.files[path].softdeps) for path in sorted(kept))
        return "".join(f"softdep {name} pre: {' '.join(soft)}\n" for name, soft in rows if soft).encode()

    def _load_order(self, path: TreePath, paths: Mapping[str, TreePath]) -> list[TreePath]:
        """Return all dependencies of `path`, without itself, each after its own dependencies."""
        done: dict[TreePath, None] = {}
        under_way: list[tuple[TreePath, Iterable[str]]] = [(path, iter(self.files[path].depends))]
        entered = {path}
        while under_way:
            here, names = under_way[-1]
            needed = next((paths[name] for name in names if name in paths and paths[name] not in done), None)
            if needed is None:
                under_way.pop()
                entered.discard(here)
                done[here] = None
            elif needed in entered:
                raise NoSolution(needed.text, f"needs itself, by way of {here.text}")
            else:
                entered.add(needed)
                under_way.append((needed, iter(self.files[needed].depends)))
        return [needed for needed in done if needed != path]

    def _by_name(self) -> dict[str, TreePath]:
        return {module_name(path): path for path in sorted(self.files, reverse=True)}

    def _by_alias(self) -> dict[str, list[str]]:
        answering: dict[str, list[str]] = {}
        for path in sorted(self.files):
            for alias in self.files[path].aliases:
                answering.setdefault(folded(alias), []).append(module_name(path))
        return answering


def _section(data: memoryview, wanted: bytes, source: str) -> memoryview:
    """Return the bytes of the section `wanted`; every offset is checked."""

    def piece(start: int, size: int) -> memoryview:
        if start + size > len(data):
            raise Malformed(source, f"is cut short: wants {start + size} bytes, has {len(data)}")
        return data[start : start + size]

    header = _ELF64.unpack(piece(0, _ELF64.size))
    table, row_size, count, names_row = header[6], header[11], header[12], header[13]
    if not header[0].startswith(_MAGIC) or row_size != _SECTION.size:
        raise Malformed(source, "is not a 64-bit little-endian ELF object, as kernel modules are")
    if count > _MAX_SECTIONS or names_row >= count:
        raise Malformed(source, f"has {count} ELF sections, and their names in number {names_row}")
    rows = [_SECTION.unpack(piece(table + place * row_size, row_size)) for place in range(count)]
    names = piece(rows[names_row][4], rows[names_row][5])
    for row in rows:
        if names[row[0] : row[0] + len(wanted) + 1] == wanted + b"\0":
            if row[5] > _MAX_MODINFO_BYTES:
                raise Malformed(source, f"{wanted.decode()} has {row[5]} bytes, the limit is {_MAX_MODINFO_BYTES}")
            return piece(row[4], row[5])
    raise Malformed(source, f"has no section {wanted.decode()}")


def _below(path: TreePath, folder: TreePath) -> bytes:
    return path.removeprefix(folder + b"/")
