"""Globs on paths of a tree, as recipes and image definitions write them.

    *      any run of bytes inside one component           bin/*            the entries of bin
    ?      any one byte inside one component
    **     any run of bytes, slashes as well               usr/**           everything below usr
    **/    no component or more                            **/*.ko          every .ko, at the top as well

A glob with no wildcard also takes what lies below it: `usr/lib` means the folder and all that is in it. A leading slash
says nothing. Brackets stand for themselves (`usr/bin/[` is a real file); bytes that are not UTF-8 are written as in
`TreePath.text`. Globs come from people's own recipes and image definitions, never from a galaxy.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from cosmos.treepath import TreePath, unescaped

_TOKEN = re.compile(rb"\*\*/|\*\*|\*|\?|[^*?]+", re.DOTALL)
_MEANING = {b"**/": rb"(?:.*/)?", b"**": rb".*", b"*": rb"[^/]*", b"?": rb"[^/]"}
_MAX_WILDCARDS = 8  # more is a mistake, and slow: each may look at the whole path again


@functools.lru_cache(maxsize=4096)
def compiled(glob: str) -> re.Pattern[bytes]:
    """Return `glob` as a pattern that a whole path must match, or raise `ValueError`.

    >>> bool(compiled("usr/lib").fullmatch(b"usr/lib/libz.so.1"))
    True
    """
    raw = unescaped(glob).strip(b"/")
    tokens = _TOKEN.findall(raw)
    wildcards = sum(token in _MEANING for token in tokens)
    if not raw:
        raise ValueError("want a glob such as usr/bin/*, got nothing")
    if wildcards > _MAX_WILDCARDS:
        raise ValueError(f"want at most {_MAX_WILDCARDS} wildcards, got {wildcards} in {glob[:80]!r}")
    pattern = b"".join(_MEANING.get(token) or re.escape(token) for token in tokens)
    return re.compile(pattern if wildcards else pattern + rb"(?:/.*)?", re.DOTALL)


def matches(path: TreePath, glob: str) -> bool:
    """Return whether `glob` takes `path`.

    >>> matches(TreePath(b"usr/bin/["), "usr/bin/["), matches(TreePath(b"usr/bin/a/b"), "usr/bin/*")
    (True, False)
    """
    return compiled(glob).fullmatch(path) is not None


def matches_any(path: TreePath, globs: Iterable[str]) -> bool:
    """Return whether one of `globs` takes `path`; no globs take nothing."""
    return any(compiled(glob).fullmatch(path) for glob in globs)


def unused(globs: Iterable[str], paths: Iterable[TreePath]) -> tuple[str, ...]:
    """Return the globs that take none of `paths`: most often a misspelt one."""
    listed = list(paths)
    return tuple(glob for glob in globs if not any(map(compiled(glob).fullmatch, listed)))
