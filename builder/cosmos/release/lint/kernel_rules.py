"""A kernel needs the modules of its own version.

A kernel for x86 states its version (Documentation/arch/x86/boot.rst: `kernel_version` at 0x20E, counted from 0x200).
Of another kernel, the file's name says it, or its folder below lib/modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from cosmos.content import Content
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.seen_tree import SeenTree
from cosmos.treepath import TreePath, escaped

_KERNEL: Final = re.compile(
    rb"boot/(?:vmlinuz|vmlinux|Image|bzImage)(?:-(?P<version>[^/]+))?"
    rb"|(?:usr/)?lib/modules/(?P<folder>[^/]+)/(?:vmlinuz|Image)"
)
_VERSION_BYTES: Final = 128


def kernel_version(path: TreePath, content: Content) -> bytes | None:
    """Return the version of the kernel at `path`, or None if it is no kernel, or nothing says the version."""
    named = _KERNEL.fullmatch(path)
    if named is None:
        return None
    head = bytes(content[0x202:0x210])
    if head[:4] == b"HdrS":
        start = int.from_bytes(head[0x0C:0x0E], "little") + 0x200
        stated = bytes(content[start : start + _VERSION_BYTES]).partition(b"\0")[0].partition(b" ")[0]
        if stated:
            return stated
    return named["version"] or named["folder"]


def kernels_without_modules(tree: SeenTree, kernels: Mapping[TreePath, bytes]) -> Iterator[Finding]:
    """Yield each kernel, given with its version, without the folder of its modules."""
    with_modules = _folders_with_modules(tree) if kernels else set()
    for path, version in kernels.items():
        folder = tree.followed(b"lib/modules/" + version)
        if b"/" in version or folder not in with_modules:
            what = f"is Linux {escaped(version)}, but there is no /lib/modules/{escaped(version)} with modules"
            yield Finding(path=path, rule="kernel-modules", what=what, star=tree.owner(path))


def _folders_with_modules(tree: SeenTree) -> set[TreePath]:
    """Return every folder above a module, or above a list of modules, which depmod or the kernel's own build makes."""
    return {
        folder
        for path in tree.entries
        if b".ko" in path.name or path.name.startswith(b"modules.")
        for folder in path.parents
    }
