"""Judge whether the stars of a lock answer its wishes: find every fault, from the wishes and the stars' facts alone.

It asks no galaxy. So it cannot know which galaxy answers for a name that no star of the lock has. If providers from
several galaxies are in the lock, it accepts each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Final, Literal, TypeAlias

from cosmos.model.demand import Need
from cosmos.model.names import Arch, StarName, reason_of, star_behind
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Wish
from cosmos.resolve.order import out_of_order
from cosmos.resolve.together import Placed, Together

FaultKind: TypeAlias = Literal["wish", "need", "conflict", "arch", "unwanted", "reasons", "doubled", "order"]

_AGAIN: Final = "cosmos freeze IMAGE chooses the stars again"
_MERGED: Final = f"{_AGAIN}; a lock is not merged by hand"
_FEW: Final = 6  # names in one sentence: a system's C library is wanted by a hundred stars


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault of a lock: a sentence that names the star or the wish, and a hint."""

    kind: FaultKind
    star: StarName | None = None
    wish: Wish | None = None
    sentence: str
    way_out: str = _AGAIN

    def __str__(self) -> str:
        return self.sentence


def faults(wishes: Sequence[Wish], stars: Sequence[Placed], arch: Arch) -> tuple[Fault, ...]:
    """Return every fault of `stars` as the answer to `wishes` on `arch`; empty if there is no fault."""
    together = Together(stars)
    placed = list(together.stars.values())
    rows = _Rows(wishes, together)
    return (
        *doubled(stars),
        *rows.unanswered(),
        *(fault for star in placed for fault in _of_star(star, together, arch)),
        *rows.wrong(),
        *_order(placed),
    )


def doubled(stars: Iterable[Placed]) -> Iterator[Fault]:
    """Yield a fault for each star that is listed a second time: that is always wrong."""
    seen: dict[StarName, Placed] = {}
    for star in stars:
        if star.name in seen:
            said = f"the lock has {star.name} twice, as {seen[star.name].version} and as {star.version}"
            yield Fault(kind="doubled", star=star.name, sentence=said, way_out=_MERGED)
        seen.setdefault(star.name, star)


def _of_star(star: Placed, together: Together, arch: Arch) -> Iterator[Fault]:
    if not star.arch.runs_on(arch):
        yield Fault(kind="arch", star=star.name, sentence=f"{star} is for {star.arch}, and does not run on {arch}")
    elif star.arch != star.facts.arch:
        said = f"{star} is locked for {star.arch}, but its statement says {star.facts.arch}"
        yield Fault(kind="arch", star=star.name, sentence=said)
    for need, answers in together.met(star):
        if not any(answers):
            said = f"{star} wants {in_words(need)}, but {_instead(need, together)}"
            yield Fault(kind="need", star=star.name, sentence=said)
    for other, conflict in together.clashes(star):
        if conflict is None:
            said = f"{star} was made from {other.name} and stands for it, but the lock has {other} too"
        elif other.name == conflict.name:
            said = f"{star} conflicts with {in_words((conflict,))}, but the lock has {other}"
        else:
            said = f"{star} conflicts with {in_words((conflict,))}, which {other} provides"
        yield Fault(kind="conflict", star=star.name, sentence=said)


def in_words(need: Need) -> str:
    """Return `a ^1 or b *`."""
    return " or ".join(f"{demand.name} {demand.constraint}" for demand in need)


def _instead(need: Need, together: Together) -> str:
    there = [str(together.stars[demand.name]) for demand in need if demand.name in together.stars]
    return f"the lock has {' and '.join(there)}" if there else "no star of the lock answers that"


class _Rows:
    """The right `dependencies` and `wanted_by` of each star, as far as they follow from the stars."""

    def __init__(self, wishes: Sequence[Wish], together: Together) -> None:
        self._wishes = wishes
        self._together = together
        self._wanted_by: dict[StarName, set[str]] = {name: set() for name in together.stars}
        self._answered: dict[StarName, set[StarName]] = {}  # by its dependencies, of each star
        self._wished: set[StarName] = set()  # a star may be called `image`: its name says nothing of who wished for it
        self._unanswered = list(self._read_wishes())
        for star in together.stars.values():
            self._answered[star.name] = self._read_needs(star)

    def unanswered(self) -> Iterable[Fault]:
        """Return a fault for each wish that no star answers."""
        return self._unanswered

    def wrong(self) -> Iterator[Fault]:
        """Yield a fault for each row that does not follow, and for each star that no wish needs, directly or not."""
        reached = self._reached()
        for name, star in self._together.stars.items():
            if name not in reached:
                said = f"the lock has {star}, but no wish needs it"
                yield Fault(kind="unwanted", star=name, sentence=said, way_out=_MERGED)
                continue
            yield from self._wrong_dependencies(star)
            wanted = self._wanted_by[name]
            stated = set(star.wanted_by)
            if stated not in (wanted, _as_before(wanted)) or len(star.wanted_by) != len(stated):
                said = f"{star} {_misstated(star.wanted_by, wanted)}"
                yield Fault(kind="reasons", star=name, sentence=said, way_out=_MERGED)

    def _read_wishes(self) -> Iterator[Fault]:
        for wish in self._wishes:
            answers = self._together.wish_answers(wish.demand)
            named = self._together.stars.get(wish.name)
            counted = answers if named else _first_of_each_galaxy(one for one in answers if wish.who in one.wanted_by)
            for star in counted or answers[:1] or ([named] if named else []):
                self._wished.add(star.name)
                self._wanted_by[star.name].add(wish.who)
            if not answers:
                there = f"the lock has {named}" if named else "no star of the lock answers that"
                said = f"{wish.who} wants {in_words((wish.demand,))}, but {there}"
                yield Fault(kind="wish", wish=wish, star=named.name if named else None, sentence=said)

    def _read_needs(self, star: Placed) -> set[StarName]:
        """Return the dependencies that answer the star's needs, and record the star in their `wanted_by`."""
        declared, found = set(star.dependencies), set[StarName]()
        for need, answers_of in self._together.met(star):
            if not any(answers_of):  # a fault of its own: nothing follows from it
                found |= {demand.name for demand in need if demand.name in self._together.stars} & declared
            for demand, answers in zip(need, answers_of, strict=True):
                found |= {one.name for one in _first_of_each_galaxy(one for one in answers if one.name in declared)}
                if any(one.name == demand.name and one.name in declared for one in answers):
                    break  # the star of that name: no doubt which galaxy answers
        for name in found:
            self._wanted_by[name].add(reason_of(star.name))
        return found

    def _wrong_dependencies(self, star: Placed) -> Iterator[Fault]:
        answered = self._answered[star.name]
        unmet = {
            demand.name for need, answers_of in self._together.met(star) if not any(answers_of) for demand in need
        }  # a fault of its own, which says all
        for name in sorted(set(star.dependencies) - answered - unmet):
            said = f"{star} names {name} among its dependencies, but does not need it"
            yield Fault(kind="reasons", star=star.name, sentence=said, way_out=_MERGED)
        for need, answers_of in self._together.met(star):
            answers = [one for answered_by in answers_of for one in answered_by]
            named = any(one.name in answered for one in answers)
            if answers and not named and not self._together.answers_itself(star, need):
                said = f"{star} wants {in_words(need)}, but does not name {answers[0].name} among its dependencies"
                yield Fault(kind="reasons", star=star.name, sentence=said, way_out=_MERGED)

    def _reached(self) -> set[StarName]:
        waiting = list(self._wished)
        reached = set(waiting)
        while waiting:
            for name in self._answered[waiting.pop()]:
                if name not in reached:
                    reached.add(name)
                    waiting.append(name)
        return reached


def _as_before(reasons: Set[str]) -> set[str]:
    """Return the reasons as locks stated them when the star `image` and the image's wish were one word."""
    return {str(star_behind(reason) or reason) for reason in reasons}


def _first_of_each_galaxy(stars: Iterable[Placed]) -> list[Placed]:
    found: dict[str, Placed] = {}
    for star in stars:
        found.setdefault(star.galaxy, star)
    return list(found.values())


def _misstated(stated: Sequence[str], wanted: Set[str]) -> str:
    """Return a sentence with the stated and the right `wanted_by`; for long lists, with the difference."""
    if max(len(stated), len(wanted)) <= _FEW or len(set(stated)) < len(stated):
        return f"says that it is wanted by {_listed(stated)}; expected {_listed(sorted(wanted))}"
    wrong, lacking = sorted(set(stated) - wanted), sorted(wanted - set(stated))
    said = [f"says that it is wanted by {_some(wrong)}, but it is not"] if wrong else []
    return ", and ".join([*said, *([f"does not say that it is wanted by {_some(lacking)}"] if lacking else [])])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"{', '.join(names[:_FEW])}{more}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) if words else "nobody"


def _order(stars: Sequence[Placed]) -> Iterator[Fault]:
    there = {star.name: star for star in stars}
    needs: Mapping[StarName, Sequence[StarName]] = {
        star.name: [name for name in star.dependencies if name in there] for star in stars
    }
    for name, before in out_of_order(needs):
        said = f"{there[name]} comes before {there[before]}, which must come first"
        yield Fault(kind="order", star=name, sentence=said, way_out=_MERGED)


__all__ = ["Fault", "FaultKind", "Placed", "doubled", "faults", "in_words"]
