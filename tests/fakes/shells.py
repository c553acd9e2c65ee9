"""A star with this machine's `sh`, for scripts that the operator allows to run programs."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from fakes.galaxies import StarSpec


def shell() -> StarSpec:
    """Return the star `shell`: `/bin/sh` and its libraries."""
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/")}
    files = {path.lstrip("/"): Path(path).read_bytes() for path in ("/bin/sh", *sorted(libraries))}
    return StarSpec("shell", files=files)


def with_programs(*paths: str) -> StarSpec:
    """Return the star `shell` with these programs of this machine besides, and their libraries."""
    plain, files = shell(), {}
    for path in paths:
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        files |= {word: Path(word).read_bytes() for word in (path, *listed.split()) if word.startswith("/")}
    return replace(plain, files={**plain.files, **{path.lstrip("/"): data for path, data in files.items()}})
