"""Check that the running Python and the machine can build the binary."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from places import SYSTEM_PATH, BuildError

TOOLS = ("objcopy", "objdump", "strip")


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """The properties of the running Python and the machine."""

    version: tuple[int, int]
    machine: str
    has_venv: bool
    shared_library: str  # the file name of libpython; empty if this Python was built without one
    has_shared_library: bool
    is_debian: bool
    missing_tools: tuple[str, ...]

    @classmethod
    def here(cls) -> Builder:
        """Return the properties of this machine."""
        name = str(sysconfig.get_config_var("INSTSONAME") or "")
        shared = name if ".so" in name else ""
        return cls(
            version=sys.version_info[:2],
            machine=platform.machine(),
            has_venv=all(is_there(module) for module in ("venv", "ensurepip")),
            shared_library=shared,
            has_shared_library=bool(shared) and libpython().is_file(),
            is_debian=sys.base_prefix == "/usr" and Path("/etc/debian_version").exists(),
            missing_tools=tuple(tool for tool in TOOLS if shutil.which(tool, path=SYSTEM_PATH) is None),
        )


def is_there(module: str) -> bool:
    """Return whether a module can be imported; an empty folder of that name does not count."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def libpython() -> Path:
    """Return the path of the running Python's shared library."""
    name = str(sysconfig.get_config_var("INSTSONAME"))
    folders = (
        sysconfig.get_config_var("LIBDIR"),
        f"{sys.base_prefix}/lib",
        f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}",
    )
    places = [Path(folder) / name for folder in folders if folder]
    return next((place for place in places if place.is_file()), places[0])


def refuse_what_cannot_be_frozen(builder: Builder) -> None:
    """Raise `BuildError`, naming the package that is missing, unless the running Python can be frozen."""
    if builder.missing_tools:
        raise BuildError(f"{', '.join(builder.missing_tools)}: not found", "apt-get install binutils")
    name = "{}.{}".format(*builder.version)
    if not builder.has_venv:
        hint = f"apt-get install python{name}-venv" if builder.is_debian else "make binary PYTHON=…"
        raise BuildError("this Python cannot make virtual environments: it has no ensurepip", hint)
    if not builder.has_shared_library:
        other = "use a Python that was configured with --enable-shared: make binary PYTHON=…"
        has_package = builder.is_debian and builder.shared_library
        raise BuildError(
            "this Python has no shared library", f"apt-get install libpython{name}" if has_package else other
        )
