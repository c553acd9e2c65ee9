"""Debian's Python comes without the shared library that a frozen program starts with: this fetches it, without root."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from needs import Builder, libpython
from places import BuildError, Places, plain_environment, run, say


def folder_of_libraries(builder: Builder, places: Places) -> Path:
    """Return the folder that libpython lies in; on Debian it is fetched through apt, which checks its signature.

    Raises `BuildError` that names the package if it cannot be had.
    """
    if builder.has_shared_library:
        return libpython().parent
    package = "libpython{}.{}".format(*builder.version)
    hint = f"apt-get update && apt-get install {package}"
    folder = places.work / "libpython"
    say(f"fetching {package}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    log, environment = folder / "apt.log", plain_environment(places)
    try:
        run(["apt-get", "--quiet", "download", package], environment=environment, log=log)
        archive = next(folder.glob("*.deb"))
        refuse_another_python(archive)
        run(["dpkg-deb", "--extract", str(archive), str(folder)], environment=environment, log=log)
        return next(folder.rglob(builder.shared_library)).parent
    except (BuildError, OSError, StopIteration, subprocess.CalledProcessError) as error:
        raise BuildError(
            f"{builder.shared_library}: not found, and {package} is not to be had: {error}", hint
        ) from error


def refuse_another_python(package: Path) -> None:
    """Raise unless the package is of the running Python's release; Debian's own revisions of it keep the interface."""
    query = ["dpkg-deb", "--field", str(package), "Version"]
    version = subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - dpkg-deb
    wanted = ".".join(map(str, sys.version_info[:3]))
    if version.partition("-")[0] != wanted:
        raise BuildError(f"apt offers {version}, but this Python is {wanted}")
