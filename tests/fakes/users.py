"""Other users of this machine: root's tests become them. They enter neither pytest's folders nor a TMPDIR of root's."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def shared_folder() -> Path:
    """Return a folder for temporary files of every user: this process's own one if it is one."""
    own = Path(tempfile.gettempdir())
    return next((place for place in (own, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")) if _is_shared(place)), own)


@contextmanager
def open_to_all() -> Iterator[Path]:
    """Give a new folder that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="cosmos-test-", dir=shared_folder(), ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def become(user: int) -> None:
    """Give up root's rights in a forked child, and the temporary folder."""
    os.environ["TMPDIR"] = str(shared_folder())
    tempfile.tempdir = None
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _is_shared(folder: Path) -> bool:
    try:
        modes = [stat.S_IMODE(place.stat().st_mode) for place in (folder, *folder.resolve().parents)]
    except OSError:
        return False
    return modes[0] & 0o007 == 0o007 and all(mode & 0o001 for mode in modes)
