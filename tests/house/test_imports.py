"""What each command imports when it is called: only a command that needs a large library pays for loading it.

The seam is the command: `cosmos.cli.cosmos.main` imports a command's module when the command is called. The table says
which of the large libraries the module may bring along. An import that is new in a group, or needed there no more,
fails: change the import, or the row with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest

pytestmark = pytest.mark.xdist_group("imports")  # one process calls every command, once

# Each of these takes a millisecond or more, or starts a whole family of modules.
LARGE: Final = (
    *("asyncio", "concurrent.futures", "ctypes", "difflib", "email", "elftools", "hashlib", "http", "http.client"),
    *("importlib.metadata", "jinja2", "license_expression", "logging", "lupa", "multiprocessing", "nacl", "socket"),
    *("ssl", "subprocess", "tomllib", "unittest", "urllib.request", "xml", "zstandard"),
)

FILES: Final = {"ctypes"}  # writes durably: renameat2, prctl
DOCUMENTS: Final = FILES | {"hashlib"}
IMAGES: Final = DOCUMENTS | {"zstandard"}
KEYS: Final = DOCUMENTS | {"nacl"}
SYSTEM: Final = KEYS | IMAGES  # a network only if a galaxy lies behind one
INSTALLS: Final = SYSTEM | {"subprocess"}
JUDGES: Final = SYSTEM  # reads an image's definition; what renders its template only if there is something to render
THREADS: Final = {"concurrent.futures", "logging"}  # checks an image with all processors
ASKS: Final = IMAGES | {"http", "socket", "subprocess"}  # an ecosystem, for its packages
BUILDS: Final = JUDGES | {"concurrent.futures", "jinja2", "logging", "subprocess"}

MAY_IMPORT: Final[Mapping[str, set[str]]] = {
    "": set(),  # the program alone: --version, --help
    "new": DOCUMENTS,  # and the rest only if it freezes
    "boot": DOCUMENTS | {"subprocess"},
    "owns": DOCUMENTS,
    "why": IMAGES | KEYS,
    "tree": IMAGES,
    "doctor": IMAGES | KEYS | {"socket", "subprocess"},
    "completion": set(),
    "manual": FILES,
    "schema": INSTALLS | {"http", "socket"},
    "ls": IMAGES,
    "cat": IMAGES,
    "diff": IMAGES | {"difflib"},
    "report": IMAGES | KEYS | THREADS | {"difflib", "jinja2"},
    "sbom": IMAGES,
    "attest": IMAGES | KEYS | THREADS,
    "attach-signature": KEYS,
    "init": KEYS,
    "key": KEYS,
    "trust": KEYS,
    "status": SYSTEM,
    "history": SYSTEM,
    "list-galaxies": SYSTEM,
    "add-galaxy": SYSTEM,
    "remove-galaxy": SYSTEM,
    "sync": SYSTEM,
    "uninstall": SYSTEM,
    "autoremove": SYSTEM,
    "search": SYSTEM,
    "show": SYSTEM,
    "install": SYSTEM,  # and what runs a script, if a star has one
    "update": SYSTEM,
    "repair": SYSTEM | THREADS,
    "nova": IMAGES | {"http", "socket", "subprocess"},
    "lint": IMAGES,
    "delta": IMAGES | KEYS | THREADS,
    "apply": JUDGES | THREADS,
    "fetch": JUDGES | THREADS | {"http", "socket"},
    "store": JUDGES,
    "freeze": KEYS,
    "outdated": JUDGES,
    "dev": BUILDS | INSTALLS | {"http", "socket"},
    "add": JUDGES,
    "remove": JUDGES,
    "vendor": JUDGES | {"subprocess"},
    "verify": set(),  # and what a release or a system needs, when that is known
    "audit": BUILDS,
    "bootstrap": BUILDS,
    "build": KEYS,  # and the rest only if something has changed
    "rebuild": BUILDS | {"difflib"},
    "rebuild-once": BUILDS,
    "stellar": set(),  # as the program alone; its own commands are below
    "stellar new-star": ASKS,
    "stellar build-star": INSTALLS | {"http", "socket"},
    "stellar scripts": ASKS,
    "stellar validate": ASKS,
    "stellar show": IMAGES | KEYS,
    "stellar test": ASKS | {"difflib"},
    "stellar lint": ASKS,
    "stellar fetch": ASKS,
    "stellar import-deb": INSTALLS | THREADS | {"http", "socket"},
    "stellar galaxy-init": IMAGES | KEYS,
    "stellar index-galaxy": IMAGES | KEYS,
    "stellar sign": IMAGES | KEYS,
    "stellar log": IMAGES | KEYS,
    "stellar attest": KEYS,
    "stellar trust": KEYS,
    "stellar completion": set(),
    "stellar manual": FILES,
}

# So many modules of all kinds at most, for the commands that must answer at once.
MOST_MODULES: Final = {"": 150, "ls": 210, "verify": 275, "status": 330}

# One process imports the program; a fork of it imports each command's module. Lines: [command, modules, large ones].
ASK: Final = """
import json, os, sys
from cosmos.cli.cosmos import main

def answer(name):
    large = [one for one in json.loads(sys.argv[1]) if one in sys.modules]
    print(json.dumps([name, len(sys.modules), large]), flush=True)

answer("")
from cosmos.cli.stellar import main as stellar
commands = {**main._COMMANDS, **{f"stellar {name}": load for name, load in stellar._COMMANDS.items()}}
for name, load in commands.items():
    if os.fork() == 0:
        load()
        answer(name)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{name}: cannot be imported")
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, tuple[int, set[str]]]:
    """Command -> how many modules it imports, and the large ones among them."""
    command = [sys.executable, "-c", ASK, json.dumps(LARGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: (count, set(large)) for name, count, large in map(json.loads, done.stdout.splitlines())}


def test_every_command_is_in_the_table(imported: Mapping[str, object]) -> None:
    assert set(imported) == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_command_imports_the_large_libraries_of_its_row_and_no_other(
    imported: Mapping[str, tuple[int, set[str]]], name: str
) -> None:
    assert imported[name][1] == MAY_IMPORT[name]


@pytest.mark.parametrize("name", MOST_MODULES)
def test_a_command_that_answers_at_once_imports_few_modules(
    imported: Mapping[str, tuple[int, set[str]]], name: str
) -> None:
    assert imported[name][0] <= MOST_MODULES[name]
