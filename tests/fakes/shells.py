"""A star with this machine's `sh`, for scripts that the operator allows to run programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fakes.galaxies import StarSpec


def shell() -> StarSpec:
    """Return the star `shell`: `/bin/sh` and its libraries."""
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/")}
    files = {path.lstrip("/"): Path(path).read_bytes() for path in ("/bin/sh", *sorted(libraries))}
    return StarSpec("shell", files=files)
