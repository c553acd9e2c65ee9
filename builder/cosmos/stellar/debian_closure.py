"""What Debian packages need of each other, as one answer for all: which package stands for each dependency.

The choice, the same on every machine that has the same lists (Debian Policy 7):

- `Pre-Depends` and `Depends` count; recommendations do not.
- Of alternatives `a | b`, one that was asked for by name; else the first that is to be had in a version that will do.
- For a virtual package, a provider that was asked for; else the one of highest priority; else the first by name.
- Dependencies may run in circles in Debian (libc6 and libgcc-s1), and may not among stars. Within a circle the package
  that most others of the circle need loses its own needs inside of it, then the next, until there is no circle left.
  What was cut is reported: whoever installs that star alone should name the other as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cosmos.errors import NoSolution
from cosmos.model.reporter import Reporter
from cosmos.transport.apt import AptRecord
from cosmos.tree.deb822 import Relation, listed, relations
from cosmos.tree.debversion import DebVersion, satisfies

_PRIORITIES: Final = ("required", "important", "standard", "optional", "extra")
_MAX_ROUNDS: Final = 1000  # a chain of dependencies this long is none


class Archive(Protocol):
    """Where records come from: apt, or a fake."""

    def candidates(self, names: Iterable[str]) -> dict[str, AptRecord]:
        """Return the record of each of `names` that there is."""

    def providers(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return who provides each virtual package of `names`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Closure:
    """Packages and what they need.

    `needs` gives for each package the packages it needs, each with the relations that ask for it (none where it stands
    for a virtual package); without circles. `cut` are the pairs (package, needed) that closed one. `unmet` are the
    groups of alternatives of which none is to be had, as written.
    """

    records: Mapping[str, AptRecord]
    needs: Mapping[str, Mapping[str, tuple[Relation, ...]]]
    cut: tuple[tuple[str, str], ...]
    unmet: Mapping[str, tuple[str, ...]]


@dataclass(kw_only=True, slots=True)
class _Search:
    """What has been looked up so far."""

    archive: Archive
    architecture: str
    asked: frozenset[str]
    records: dict[str, AptRecord] = field(default_factory=dict)
    known: dict[str, AptRecord] = field(default_factory=dict)
    virtual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    needs: dict[str, dict[str, tuple[Relation, ...]]] = field(default_factory=dict)
    unmet: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def look_up(self, names: Iterable[str]) -> None:
        """Learn what `names` are, and who provides those that are no packages."""
        new = {name for name in names if name not in self.known and name not in self.virtual}
        self.known |= self.archive.candidates(new)
        lacking = sorted(new - self.known.keys())
        found = self.archive.providers(lacking) if lacking else {}
        self.virtual |= {name: found.get(name, ()) for name in lacking}
        providers = {name for names in found.values() for name in names}
        self.known |= self.archive.candidates(providers - self.known.keys())

    def expand(self, record: AptRecord) -> None:
        """Decide what `record` needs; what it names has been looked up."""
        needs: dict[str, tuple[Relation, ...]] = {}
        unmet: list[str] = []
        for group in _groups(record, self.architecture):
            chosen = self._chosen(group)
            if chosen is None:
                unmet.append(" | ".join(map(str, group)))
                continue
            name, relation = chosen
            if name != record.name:
                held = needs.get(name, ())
                needs[name] = held if relation is None or relation in held else (*held, relation)
        self.needs[record.name] = needs
        if unmet:
            self.unmet[record.name] = tuple(unmet)

    def _chosen(self, group: Sequence[Relation]) -> tuple[str, Relation | None] | None:
        options = [option for relation in group for option in self._options(relation)]
        return next((option for option in options if option[0] in self.asked), options[0] if options else None)

    def _options(self, relation: Relation) -> Iterator[tuple[str, Relation | None]]:
        """Yield the packages that satisfy `relation`, the best first."""
        record = self.known.get(relation.name)
        if record is not None and satisfies(DebVersion.parse(record.version), relation):
            yield relation.name, relation if relation.operator else None
        providers = [self.known[name] for name in self.virtual.get(relation.name, ()) if name in self.known]
        for provider in sorted(providers, key=lambda one: (one.name not in self.asked, _priority(one), one.name)):
            if _provides(provider, relation, self.architecture):
                yield provider.name, None


def debian_closure(archive: Archive, asked: Sequence[str], architecture: str, reporter: Reporter) -> Closure:
    """Return `asked` and all that they need; raises `NoSolution` for one of `asked` that is not to be had."""
    search = _Search(archive=archive, architecture=architecture, asked=frozenset(asked))
    search.look_up(asked)
    frontier = []
    for name in asked:
        if name not in search.known:
            raise NoSolution(name, f"no package of that name for {architecture} in the host's sources")
        frontier.append(search.known[name])
    for _ in range(_MAX_ROUNDS):
        search.records |= {record.name: record for record in frontier}
        search.look_up(one.name for record in frontier for group in _groups(record, architecture) for one in group)
        for record in frontier:
            search.expand(record)
        reporter.progress("resolve packages", len(search.records), 0)
        named = {name for record in frontier for name in search.needs[record.name]}
        frontier = [search.known[name] for name in sorted(named - search.records.keys())]
        if not frontier:
            break
    needs, cut = without_circles(search.needs)
    return Closure(records=search.records, needs=needs, cut=cut, unmet=search.unmet)


def without_circles(
    needs: Mapping[str, Mapping[str, tuple[Relation, ...]]],
) -> tuple[dict[str, dict[str, tuple[Relation, ...]]], tuple[tuple[str, str], ...]]:
    """Return `needs` with circles cut open by the rule of the module's docstring, and what was cut.

    What is cut depends on the circle alone, never on what else was asked for.
    """
    left = {name: dict(below) for name, below in needs.items()}
    cut: list[tuple[str, str]] = []
    pending = circles({name: list(below) for name, below in left.items()})
    while pending:
        circle = pending.pop()
        inside = {name: sum(name in left[other] for other in circle) for name in circle}
        loser = min(circle, key=lambda name: (-inside[name], name))
        for needed in sorted(set(left[loser]) & circle):
            del left[loser][needed]
            cut.append((loser, needed))
        pending += circles({name: [needed for needed in left[name] if needed in circle] for name in sorted(circle)})
    return left, tuple(sorted(cut))


def circles(graph: Mapping[str, Sequence[str]]) -> list[set[str]]:
    """Return the strongly connected components of more than one node (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[set[str]] = []
    for start in graph:
        if start in number:
            continue
        work: list[tuple[str, Iterator[str]]] = [(start, iter(graph[start]))]
        number[start] = low[start] = len(number)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            new = next(
                (other for other in following if other in graph and _seen(node, other, number, low, on_stack)), None
            )
            if new is not None:
                number[new] = low[new] = len(number)
                stack.append(new)
                on_stack.add(new)
                work.append((new, iter(graph[new])))
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == number[node]:
                component = _popped(stack, node)
                on_stack -= component
                found += [component] if len(component) > 1 else []
    return found


def _seen(node: str, other: str, number: dict[str, int], low: dict[str, int], on_stack: Collection[str]) -> bool:
    """Return whether `other` is new; where it is not, note how far up `node` reaches through it."""
    if other not in number:
        return True
    if other in on_stack:
        low[node] = min(low[node], number[other])
    return False


def _popped(stack: list[str], last: str) -> set[str]:
    component = {stack.pop()}
    while last not in component:
        component.add(stack.pop())
    return component


def _groups(record: AptRecord, architecture: str) -> tuple[tuple[Relation, ...], ...]:
    return relations(listed(record.fields, "pre-depends", "depends"), record.file_name, architecture=architecture)


def _priority(record: AptRecord) -> int:
    name = record.fields.get("priority", "")
    return _PRIORITIES.index(name) if name in _PRIORITIES else len(_PRIORITIES)


def _provides(provider: AptRecord, wanted: Relation, architecture: str) -> bool:
    """Return whether `provider` provides `wanted`; an unversioned `Provides` satisfies no versioned relation."""
    groups = relations(provider.fields.get("provides", ""), provider.file_name, architecture=architecture)
    for offered in (one for group in groups for one in group if one.name == wanted.name):
        if wanted.operator is None or (offered.version and satisfies(DebVersion.parse(offered.version), wanted)):
            return True
    return False
