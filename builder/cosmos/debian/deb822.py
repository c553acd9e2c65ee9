"""Debian's control files: paragraphs of `Field: value` lines (Debian Policy 5.1, deb822(5)).

A line that begins with a space or a tab continues the field above it; a blank line ends the paragraph; a line that
begins with `#` is a comment. Field names are compared without regard to case and kept here in lower case. Continuation
lines are joined by newlines, each without its leading blanks, a line ` .` standing for an empty one.

Relations (Policy 7.1): `a (>= 1.2) | b, c:any [amd64] <!nocheck>`: groups separated by commas, all of which are needed;
in a group, alternatives separated by bars. Architecture lists count; binary packages have no build profiles.

A name's qualifier, on a system of one architecture (dpkg's `archsatisfied`): `:any`, `:native` and the architecture's
own name mean the package itself. Any other means a package of another architecture, which such a system never has.
KNOWN GAP: dpkg takes `:any` only for packages that say `Multi-Arch: allowed` or `foreign`; here it is the name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias, cast

from cosmos.errors import Malformed
from cosmos.model.constraint import ANY_VERSION, Constraint
from cosmos.model.version import DebianVersion
from cosmos.records import dataclass

Operator: TypeAlias = Literal["<<", "<=", "=", ">=", ">>"]

_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)")
_RELATION = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[A-Za-z0-9.+~:-]+)\s*\))?"
    r"(?:\s*\[(?P<only>[^\]]*)\])?(?:\s*<[^>]*>)*",
    re.ASCII,
)
_OLD = {"<": "<=", ">": ">="}  # Policy 7.1: the deprecated forms mean "or equal"
_MAX_FIELDS = 1000
_MAX_RELATIONS = 20_000  # of one field; the longest of Debian has some thousands


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """One package in a relation, with the versions that satisfy it."""

    name: str
    operator: Operator | None = None
    version: str = ""
    qualifier: str = ""

    @property
    def constraint(self) -> Constraint:
        """The versions that satisfy it; raises `ValueError` for a version that Debian does not allow.

        >>> Relation(name="a", operator="<<", version="1.2-4").constraint.text
        '<<1.2-4'
        """
        return ANY_VERSION if self.operator is None else Constraint.parse(f"{self.operator}{self.version}")

    def allows(self, version: str | None) -> bool:
        """Return whether `version` satisfies this relation in Debian; None is a name provided without a version.

        Raises `ValueError` for a malformed version.
        """
        if self.operator is None or version is None:
            return self.operator is None
        return self.constraint.covers(DebianVersion.of(version))

    def is_on(self, architecture: str) -> bool:
        """Return whether a system of this one architecture (Debian's name) can have the package."""
        return self.qualifier in ("", "any", "native", architecture)

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.operator} {self.version})" if self.operator else name


def paragraphs(text: str, source: str) -> Iterator[dict[str, str]]:
    """Yield each paragraph as a table of its fields; raises `Malformed` that names `source` and the line."""
    fields: dict[str, list[str]] = {}
    last: list[str] | None = None
    for number, line in enumerate(_lines(text), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield _joined(fields)
            fields, last = {}, None
        elif line[0] in " \t":
            if last is None:
                raise Malformed(source, f"line {number}: continues a field, but there is none above it")
            last.append("" if line.strip() == "." else line.strip())
        else:
            last = _begun(fields, line, f"line {number}", source)
    if fields:
        yield _joined(fields)


def paragraph(text: str, source: str) -> dict[str, str]:
    """Return the one paragraph of `text`; raises `Malformed` if it holds none or several."""
    found = list(paragraphs(text, source))
    if len(found) != 1:
        raise Malformed(source, f"want one paragraph, got {len(found)}")
    return found[0]


def relations(text: str, source: str, *, architecture: str = "") -> tuple[tuple[Relation, ...], ...]:
    """Return the groups of a relation field, each with its alternatives; raises `Malformed`.

    Alternatives that are for another `architecture` (Debian's name) are left out, and so are groups with none left.

    >>> [[str(choice) for choice in group] for group in relations("a (>= 1) | b, c:any", "x")]
    [['a (>= 1)', 'b'], ['c:any']]
    """
    if text.count(",") + text.count("|") >= _MAX_RELATIONS:
        raise Malformed(source, f"has more than {_MAX_RELATIONS} relations in one field")
    groups = []
    for part in text.split(","):
        if part.strip():
            choices = tuple(_relation(choice.strip(), source, architecture) for choice in part.split("|"))
            if any(choices):
                groups.append(tuple(choice for choice in choices if choice is not None))
    return tuple(groups)


def listed(fields: Mapping[str, str], *names: str) -> str:
    """Return several relation fields as one."""
    return ", ".join(fields[name] for name in names if fields.get(name))


def _lines(text: str) -> Iterator[str]:
    """Yield the lines one by one: a list of them takes twenty times the text."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _begun(fields: dict[str, list[str]], line: str, place: str, source: str) -> list[str]:
    match = _FIELD.fullmatch(line.rstrip("\r"))
    if match is None:
        raise Malformed(source, f"{place}: want Field: value, got {line[:60]!r}")
    name = match[1].lower()
    if name in fields:
        raise Malformed(source, f"{place}: the field {match[1]} is there twice")
    if len(fields) >= _MAX_FIELDS:
        raise Malformed(source, f"{place}: more than {_MAX_FIELDS} fields in one paragraph")
    fields[name] = [match[2].strip()]
    return fields[name]


def _joined(fields: dict[str, list[str]]) -> dict[str, str]:
    return {name: "\n".join(lines) for name, lines in fields.items()}


def _relation(text: str, source: str, architecture: str) -> Relation | None:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise Malformed(source, f"want a relation such as name (>= 1.2), got {text[:80]!r}")
    if architecture and match["only"] is not None and not _is_for(match["only"].split(), architecture):
        return None
    operator = match["operator"]
    return Relation(
        name=match["name"],
        operator=cast(Operator, _OLD.get(operator, operator)) if operator else None,
        version=match["version"] or "",
        qualifier=match["qualifier"] or "",
    )


def _is_for(only: list[str], architecture: str) -> bool:
    if all(name.startswith("!") for name in only):
        return f"!{architecture}" not in only
    return architecture in only or "any" in only or "linux-any" in only
