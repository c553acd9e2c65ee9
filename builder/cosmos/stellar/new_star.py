"""Begin a star: a source folder that builds as it is, with what is to be filled in said in comments."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from cosmos.debian.source import PREFIX, DebSource
from cosmos.durable import make_folder, write_durably
from cosmos.errors import Malformed
from cosmos.model.names import StarName
from cosmos.stellar.source_folder import RECIPE_FILE

SCRIPT = """\
-- Lays the star into a system. `install_root` is the system's root; what is copied comes from files/.
-- A star that only copies files/ needs no script: then remove this file, and `install_script` from star.toml.

function install()
    copy("files/", install_root .. "/")
end
"""
_OWN_FILE = "files/usr/share/doc/{name}/README"


def new_star(folder: Path, name: StarName, *, deb: str | None, description: str, licence: str) -> tuple[Path, ...]:
    """Write a source folder for `name`, made of the Debian package `deb` where one is named; return its files.

    Raises `Malformed` where the folder holds something already, and for what is no package's name.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Malformed(str(folder), "is there already, and holds something", hint="choose another name")
    source = _source(deb) if deb else None
    files = {RECIPE_FILE: _recipe(name, source, description, licence)}
    if source is None:
        files |= {"install.lua": SCRIPT, _OWN_FILE.format(name=name): f"{description or name}\n"}
    for path, text in files.items():
        make_folder((folder / path).parent)
        write_durably(folder / path, text.encode())
    return tuple(folder / path for path in files)


def _source(deb: str) -> DebSource:
    try:
        return DebSource.parse(deb if deb.startswith(PREFIX) else PREFIX + deb)
    except ValueError as error:
        raise Malformed("--deb", str(error)) from error


def _recipe(name: StarName, source: DebSource | None, description: str, licence: str) -> str:
    about = {"name": str(name), "description": description, "license": licence}
    if source is None:
        about = {**about, "version": "0.1.0", "install_script": "install.lua"}
        more = '# [dependencies]\n# glibc-runtime = ">=2.36"\n'
        return tomli_w.dumps(about) + '# arch = "x86_64"           # where it holds programs\n\n' + more
    about = {**about, "source": str(source)}
    more = '# [dependencies]\n# glibc-runtime = ">=2.36"\n\n# [unpack]                     # default: everything\n'
    rows = '# only = ["usr/bin"]\n# exclude = ["usr/share/doc/**", "usr/share/man/**"]\n'
    return tomli_w.dumps(about) + "# its version, and its architecture, are the package's\n\n" + more + rows
