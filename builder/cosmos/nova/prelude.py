"""The Lua that Nova runs before a script: the files of `lua/`, joined in this order, as one chunk.

    base       the budget, what ends a script for good, and the plain functions of its `_ENV`
    patterns   `string.find`, `match`, `gmatch` and `gsub`, written in Lua
    library    iteration in a fixed order, and the tables `string`, `table`, `math`, `utf8`
    verbs      the verbs, and what runs the script

They share locals, so that their order counts. A file begins with a comment that says what it is for. Lua gets what
follows that comment, from the file's first empty line on. So an error names the same line of this Lua, whatever the
comment says.

The files lie beside this module, in a checkout, in a wheel and in the single-file binary. They are read when a zygote
loads this module, before any worker is forked.
"""

from __future__ import annotations

import cosmos.nova
from cosmos.hints import Any, Final


def _part(name: str) -> bytes:
    """Return one file without the comment that it begins with."""
    spec: Any = cosmos.nova.__spec__
    whole: bytes = spec.loader.get_data(f"{cosmos.nova.__path__[0]}/lua/{name}.lua")  # the binary has it in memory
    _, _, text = whole.partition(b"\n\n")
    return b"\n" + text


PRELUDE: Final = _part("base") + _part("patterns") + _part("library") + _part("verbs")
