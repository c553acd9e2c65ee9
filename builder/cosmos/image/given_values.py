"""Values of a template's variables from the command line, for one device: `--var NAME=VALUE` and `--vars FILE`.

The file is a TOML document of names and values, as [vars] in image.toml. A word of `--var` counts before the file, and
the file before image.toml. Each value has the type that the template declares: `true` or `false`, a whole number, a
line of text. A variable of type `strings` takes one line of each `--var` with its name.

They are written into the definition that the release carries, under [vars], and `given` in it names them. A secret is
given by `--secret` alone (decision 0029).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.canon import Json
from cosmos.errors import Malformed
from cosmos.model.template import Declarations, Value, Variable
from cosmos.nearest import nearest
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.tables import Table

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NO_UTF8: Final = re.compile("[\ud800-\udfff]")  # what Python makes of such a byte on the command line
_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenValues:
    """What was given, as it was read: `words` by --var, by name, and `table` by the file `source` of --vars."""

    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    table: Mapping[str, object] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.words or self.table)

    def to_json(self) -> Json:
        """Return what decides the result, for a digest."""
        return {"words": {name: [*values] for name, values in self.words.items()}, "table": repr(dict(self.table))}

    def checked(self, declared: Declarations, template: str) -> dict[str, Value]:
        """Return the value of each given variable. Raises `Malformed`, without the value where it may be a secret."""
        values: dict[str, Value] = {}
        for name, value in self.table.items():
            variable = _declared(declared, name, f"{self.source}: {name}", template)
            values[name] = _checked(variable, value, f"{self.source}: {name}")
        for name, words in self.words.items():
            variable = _declared(declared, name, f"--var {name}", template)
            values[name] = _checked(variable, _typed(variable, words), f"--var {name}")
        return values


NOTHING_GIVEN: Final = GivenValues()


def read_given(words: Iterable[str], file: Path | None) -> GivenValues:
    """Return what the words of --var and the file of --vars give. Raises `Malformed`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Malformed("--var", "want NAME=VALUE, with the NAME of a variable", hint="--var hostname=kiosk-7")
        if _NO_UTF8.search(word):
            raise Malformed("--var", f"{word[:80]!r} is not UTF-8", hint="write it in a terminal with UTF-8")
        found[name] = (*found.get(name, ()), value)
    if file is None:
        return GivenValues(words=found)
    try:
        table = Table.parse(read_bounded(file), str(file))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Malformed(str(file), "is not there", hint='write one: hostname = "kiosk-7"') from error
    return GivenValues(words=found, source=str(file), table={name: table.value(name) for name in table.keys()})


def _declared(declared: Declarations, name: str, where: str, template: str) -> Variable:
    variable = declared.variables.get(name)
    if variable is None:
        near = nearest(name, declared.variables)
        known = f"it declares {', '.join(declared.variables) or 'none'}"
        hint = f"did you mean {near[0]}? {known}" if near else known
        raise Malformed(where, f"the template {template} declares no such variable", hint=hint)
    if variable.is_secret:
        raise Malformed(where, "is a secret, and is given in another way", hint=f"--secret {name}=FILE")
    return variable


def _checked(variable: Variable, value: object, where: str) -> Value:
    try:
        return variable.checked(value)
    except ValueError as error:
        raise Malformed(where, str(error), hint=f"it is {variable.meaning}") from error


def _typed(variable: Variable, words: tuple[str, ...]) -> object:
    """Return what the words mean for a variable of this type; text that means nothing stays text, to be refused."""
    if variable.type == "strings":
        return [*words]
    if len(words) > 1:
        hint = f"leave one out: --var {variable.name}=VALUE"
        raise Malformed(f"--var {variable.name}", "is given twice, and it is no list", hint=hint)
    (word,) = words
    if variable.type == "integer" and _INTEGER.fullmatch(word):
        return int(word)
    if variable.type == "boolean":
        return _TRUTH.get(word, word)
    return word
