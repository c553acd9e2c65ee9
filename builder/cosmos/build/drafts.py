"""The folder beside `out/` in which a release is put together: `.out-XXXX`, removed when the build ends.

A build that is killed leaves its folder behind. The next one removes it: the file `cosmos-draft` in it is locked while
its build lives, and the kernel lets go of a dead process's locks. A folder without that file is not ours and stays.
"""

from __future__ import annotations

import contextlib
import glob
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cosmos.durable import blaming
from cosmos.locking import alone_if_free

_MARK: Final = "cosmos-draft"


@contextlib.contextmanager
def draft_beside(out: Path) -> Iterator[Path]:
    """Give an empty folder on the file system of `out`; what dead builds left beside `out` is removed before."""
    with blaming(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(out)
    while True:
        with blaming(out.parent):
            draft = Path(tempfile.mkdtemp(prefix=_prefix(out), dir=out.parent))
        with alone_if_free(draft / _MARK) as is_ours:
            if not is_ours or not (draft / _MARK).is_file():
                continue  # another build swept it in the moment before it was locked
            try:
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            return


def sweep_beside(out: Path) -> None:
    """Remove what builds into `out` that were killed left beside it; that of a living build stays."""
    for draft in sorted(out.parent.glob(f"{glob.escape(_prefix(out))}*")):
        if draft.is_symlink() or not (draft / _MARK).is_file():
            continue
        with alone_if_free(draft / _MARK) as is_dead:
            if is_dead:
                shutil.rmtree(draft, ignore_errors=True)


def _prefix(out: Path) -> str:
    return f".{out.name}-"
