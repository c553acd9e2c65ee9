"""`[unpack] kernel-modules`: the modules that a recipe names, their dependencies, and the files for modprobe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cosmos.errors import NoSolution
from cosmos.limits import MIB, Budget
from cosmos.pack.inflate import inflated
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.tree.modinfo import ModuleInfo, Modules, built_in, is_module, modinfo
from cosmos.treepath import TreePath

_FOLDER: Final = re.compile(rb"(?:usr/)?lib/modules/[^/]+")
_BUILTIN_FILES: Final = (b"modules.builtin", b"modules.builtin.modinfo")
_MAX_MODULE_BYTES: Final = 64 * MIB  # decompressed; amdgpu has 25 MiB


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelModules:
    """The paths to keep of a package, and the files to add to them."""

    kept: frozenset[TreePath]
    made: tuple[Entry, ...]


def kernel_modules(entries: Sequence[Entry], wanted: Sequence[str], package: str, budget: Budget) -> KernelModules:
    """Return the `wanted` modules, their dependencies, and `modules.dep`, `.alias`, `.softdep`; raises `NoSolution`.

    The compressed modules draw from the package's `budget`; raises `Refused` if it does not suffice.

    A module that is built into the kernel counts as present. The made files have the time of the newest kept module.
    """
    by_path = {entry.path: entry for entry in entries if entry.kind == "file"}
    folder = _folder(by_path, package)
    builtin = by_path.get(folder.joined(b"modules.builtin"))
    modules = Modules(
        files={path: _info(entry, package, budget) for path, entry in by_path.items() if is_module(path)},
        builtin=built_in(bytes(builtin.content)) if builtin is not None else frozenset(),
    )
    kept = modules.with_needs(wanted)
    mtime = max((by_path[path].mtime for path in kept), default=0)
    texts: Mapping[bytes, bytes] = {
        b"modules.alias": modules.alias_file(kept),
        b"modules.dep": modules.dependency_file(kept, folder),
        b"modules.softdep": modules.soft_dependency_file(kept),
    }
    made = (
        Entry(path=folder.joined(name), kind="file", mode=0o644, mtime=mtime, content=text)
        for name, text in texts.items()
        if folder.joined(name) not in by_path
    )
    besides = (path for name in _BUILTIN_FILES if (path := folder.joined(name)) in by_path)
    return KernelModules(kept=frozenset((*kept, *besides)), made=tuple(made))


def _folder(paths: Iterable[TreePath], package: str) -> TreePath:
    found = {match[0] for path in paths if is_module(path) and (match := _FOLDER.match(path))}
    if len(found) != 1:
        problem = f"want one folder lib/modules/VERSION with kernel modules, got {len(found)}"
        hint = "leave [unpack] kernel-modules out, or name the package of one kernel in source"
        raise NoSolution(package, problem, hint=hint)
    return TreePath(found.pop())


def _info(entry: Entry, package: str, budget: Budget) -> ModuleInfo:
    name = entry.path.name
    suffix = "" if name.endswith(b".ko") else "." + name.rpartition(b".")[2].decode()
    source = f"{package}: {entry.path.text}"
    if not suffix:
        return modinfo(bytes(entry.content), source)
    return modinfo(inflated(bytes(entry.content), suffix, budget, source, most=_MAX_MODULE_BYTES), source)
