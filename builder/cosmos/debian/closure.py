"""Choose the Debian packages to import with all their dependencies: `--closure` and `--with-essential`.

This chooses packages, not dependencies. A star always states all dependencies of its package (debian.star), and
`cosmos freeze` may choose other packages for them. The choice is the same on every machine with the same lists:

- `Pre-Depends` and `Depends` count; recommendations do not.
- Of alternatives `a | b`, one that was asked for by name; else the first that the archive has in a fitting version.
- For a virtual package, a provider that was asked for; else the one of highest priority; else the first by name.
- Circles (libc6 and libgcc-s1 need each other) are allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final, Protocol

from cosmos.debian.apt import AptRecord
from cosmos.debian.deb822 import Relation
from cosmos.debian.relations import answers, needed
from cosmos.errors import Malformed, NoSolution
from cosmos.model.reporter import Reporter
from cosmos.records import dataclass

_PRIORITIES: Final = ("required", "important", "standard", "optional", "extra")


class Archive(Protocol):
    """Where records come from: apt, or a fake."""

    def candidates(self, names: Iterable[str]) -> dict[str, AptRecord]:
        """Return the record of each of `names` that exists."""

    def record(self, name: str, version: str | None = None) -> AptRecord:
        """Return the record of one package, at `version` if one is given; raises `NoSolution`."""

    def providers(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the providers of each virtual package of `names`; a name without a provider is left out."""

    def essential(self) -> tuple[str, ...]:
        """Return the names of the packages that every Debian system has, in order of name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Closure:
    """Packages, and for each the names of the packages that were chosen for its dependencies.

    `unmet` are the groups of alternatives, as written, of which the archive has none.
    """

    records: Mapping[str, AptRecord]
    needs: Mapping[str, frozenset[str]]
    unmet: Mapping[str, tuple[str, ...]]

    def reached_from(self, names: Iterable[str]) -> frozenset[str]:
        """Return `names` and all their dependencies."""
        found: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self.needs[name]
        return frozenset(found)


@dataclass(kw_only=True, slots=True)
class _Search:
    """The records and providers that were looked up so far."""

    archive: Archive
    architecture: str
    asked: frozenset[str]
    records: dict[str, AptRecord] = field(default_factory=dict)
    known: dict[str, AptRecord] = field(default_factory=dict)
    virtual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    needs: dict[str, frozenset[str]] = field(default_factory=dict)
    unmet: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def look_up(self, names: Iterable[str]) -> None:
        """Look up the records of `names` and their providers."""
        new = {name for name in names if name not in self.virtual}
        self._learn(new)
        found = self.archive.providers(new) if new else {}
        self.virtual |= {name: found.get(name, ()) for name in new}
        providers = {name for names in found.values() for name in names}
        self._learn(providers)

    def _learn(self, names: Iterable[str]) -> None:
        self.known |= self.archive.candidates({name for name in names if name not in self.known})

    def expand(self, record: AptRecord) -> None:
        """Choose the packages for the dependencies of `record`, all of which were looked up."""
        needs: set[str] = set()
        unmet: list[str] = []
        for group in needed(record, self.architecture):
            chosen = self._chosen(group)
            needs |= {chosen} if chosen else set()
            unmet += [] if chosen else [" | ".join(map(str, group))]
        self.needs[record.name] = frozenset(needs)
        if unmet:
            self.unmet[record.name] = tuple(unmet)

    def _chosen(self, group: Sequence[Relation]) -> str | None:
        options = [option for relation in group for option in self._options(relation)]
        return next((option for option in options if option in self.asked), options[0] if options else None)

    def _options(self, relation: Relation) -> Iterator[str]:
        """Yield the packages that satisfy `relation`, the best first: the one of that name, then its providers."""
        providers = [self.known[name] for name in self.virtual.get(relation.name, ()) if name in self.known]
        ranked = sorted(providers, key=lambda one: (one.name not in self.asked, _priority(one), one.name))
        record = self.known.get(relation.name)
        for option in ([record] if record is not None else []) + ranked:
            if answers(option, relation, self.architecture):
                yield option.name


def wishes(asked: Sequence[str]) -> dict[str, str | None]:
    """Return the version that each name of `asked` is wanted in, None for any; raises `Malformed`.

    >>> wishes(["nano=7.2-1", "tree"])
    {'nano': '7.2-1', 'tree': None}
    """
    found: dict[str, str | None] = {}
    for text in asked:
        name, equals, version = text.partition("=")
        if equals and not version:
            raise Malformed(text, "want NAME or NAME=VERSION")
        if found.setdefault(name, version or None) != (version or None):
            raise Malformed(name, "is asked for twice, in different versions")
    return found


def debian_closure(archive: Archive, asked: Mapping[str, str | None], architecture: str, reporter: Reporter) -> Closure:
    """Return `asked` (`wishes`) and all their dependencies; raises `NoSolution` for a package that does not exist."""
    search = _Search(archive=archive, architecture=architecture, asked=frozenset(asked))
    search.known |= {name: archive.record(name, version) for name, version in asked.items() if version}
    search.look_up(asked)
    frontier = []
    for name in asked:
        if name not in search.known:
            raise NoSolution(name, f"no package of that name for {architecture} in the host's sources")
        frontier.append(search.known[name])
    while frontier:  # each round takes new packages in, and the host's lists have an end
        search.records |= {record.name: record for record in frontier}
        search.look_up(one.name for record in frontier for group in needed(record, architecture) for one in group)
        for record in frontier:
            search.expand(record)
        reporter.progress("resolve packages", len(search.records), 0)
        named = {name for record in frontier for name in search.needs[record.name]}
        frontier = [search.known[name] for name in sorted(name for name in named if name not in search.records)]
    return Closure(records=search.records, needs=search.needs, unmet=search.unmet)


def _priority(record: AptRecord) -> int:
    name = record.fields.get("priority", "")
    return _PRIORITIES.index(name) if name in _PRIORITIES else len(_PRIORITIES)
