"""The importer of the single-file binary: a piece with code is in memory only while modules are imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

Modules: TypeAlias = dict[str, tuple[str, str]]
REPO = Path(__file__).resolve().parents[3]
MODULES: Modules = {
    "__main__": (
        "code-always",
        "import start\nimport json, sys\n"
        "pieces = sys.modules['importer'].pieces\n"
        "said = [sorted(pieces.unpacked)]\n"
        "import command\nsaid.append(sorted(pieces.unpacked))\n"
        "command.work()\nsaid.append(sorted(pieces.unpacked))\n"
        "print(json.dumps([said, _image.asked]))\n",
    ),
    "start": ("code-always", "import dataclasses\n"),
    "command": ("code-often", "import beside, seldom\ndef work():\n    import later\n    return later.DONE\n"),
    "beside": ("code-often", "import re\nONE = re.compile('[a-z]+')\n"),
    "seldom": ("code-seldom", ""),
    "later": ("code-seldom", "DONE = True\n"),
}
SMALL: Modules = {
    "__main__": (
        "code-always",
        "import start\nimport json, sys\n"
        "pieces = sys.modules['importer'].pieces\n"
        "said = [sorted(pieces.unpacked)]\n"
        "pieces.become_small()\nsaid.append(sorted(pieces.unpacked))\n"
        "import worker\nsaid.append(sorted(pieces.unpacked))\n"
        "assert worker.One(two=3).two == 3\n"
        "print(json.dumps([said, _image.asked]))\n",
    ),
    "start": ("code-always", "import dataclasses\n"),
    "worker": (
        "code-worker",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass One:\n    two: int\n",
    ),
}
PROGRAM = """
import marshal, sys, types
modules, importer = marshal.loads(bytes.fromhex(sys.argv[1])), sys.argv[2]
sys.path.clear()
image = types.ModuleType("_image")
image.asked = []
index, held = {}, {"made": marshal.dumps(({}, {})), "methods": b""}
for name, (piece, text) in modules.items():
    code, before = marshal.dumps(compile(text, name, "exec")), held.setdefault(piece, b"")
    index[name] = (piece, len(before), len(code), False)
    held[piece] += code
held["index"] = marshal.dumps(index)
def piece(name):
    image.asked.append(name)
    return held[name]
image.piece, image.names = piece, lambda: list(held)
sys.modules["_image"] = image
itself = sys.modules["importer"] = types.ModuleType("importer")
sys.modules["__main__"]._image = image
exec(compile(importer, "importer", "exec"), itself.__dict__)
"""


def run(modules: Modules) -> tuple[list[list[str]], list[str]]:
    """Return the unpacked pieces after each step, and the pieces in the order in which they were unpacked."""
    import marshal

    importer = (REPO / "freeze/launcher/importer.py").read_text()
    program = PROGRAM.replace("sys.path.clear()\n", "import json, dataclasses, re, zlib, gc\nsys.path.clear()\n")
    words = [sys.executable, "-I", "-S", "-c", program, marshal.dumps(modules).hex(), importer]
    said, asked = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return said, asked


def test_the_code_of_a_command_is_forgotten_when_the_command_is_there() -> None:
    said, _ = run(MODULES)
    assert said == [["code-always"], [], []]


def test_no_piece_is_unpacked_twice_while_a_command_is_imported() -> None:
    _, asked = run(MODULES)
    assert asked == ["index", "code-always", "code-often", "code-seldom", "code-seldom"]


def test_a_process_that_became_small_keeps_no_piece_and_needs_none_for_the_methods_of_a_class() -> None:
    said, asked = run(SMALL)
    assert said == [["code-always"], [], []]
    assert asked == ["index", "code-always", "code-worker"]
