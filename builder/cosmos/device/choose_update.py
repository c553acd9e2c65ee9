"""Choose the newest versions that fit, for an update: which installed stars move, which stay, and why.

Every installed star stays installed. A star that is to be updated moves to the newest version that the installed stars
take, and its dependencies move with it if they must. With named stars, all other stars keep their versions: so a star
whose dependant does not take the new version stays, and the answer says why.

No star gets an older version, unless the operator names it for that. A star comes from the galaxy that it came from. If
another galaxy answers for its name now (docs/decisions/0004), it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cosmos.device.choose import KEEPER, Choice, Chosen, advice, locked_choice, pinned
from cosmos.device.dependants import with_dependants
from cosmos.device.galaxies import OpenGalaxies
from cosmos.device.system_library import SystemLibrary, installed_candidate
from cosmos.errors import CosmosError, NoSolution
from cosmos.model.constraint import ANY_VERSION, Constraint, exactly
from cosmos.model.facts import Facts
from cosmos.model.names import Arch, StarName
from cosmos.model.universe import Installed, Universe, demand_reader
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.resolve.catalogue import Candidate, preferred
from cosmos.resolve.explaining import UNSOLVED, Advice
from cosmos.resolve.resolving import Resolved, Wish, resolve
from cosmos.staging.foreseen import foresee

UPDATER = "the update"  # wants a star's newest version, in the resolver's sentences
MAX_EXPLAINED: Final = 6  # each costs as much as choosing the stars


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A star that stays as it is, the newest version that was found (None if none was asked for), and the reason.

    `is_explained` is false if nobody looked for the very reason.
    """

    name: StarName
    version: Version
    newest: Version | None
    why: str
    is_explained: bool = True

    def __str__(self) -> str:
        there = "" if self.newest is None else f"{self.newest} is there, but "
        return f"{self.name} {self.version}: {there}{self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateChoice:
    """The new versions and new stars, in dependency order and as a lock; the dependencies of all; the held stars."""

    choice: Choice
    dependencies: Mapping[StarName, tuple[StarName, ...]]
    held: tuple[Held, ...]


def choose_update(
    wishes: Sequence[Wish],
    lowering: Collection[StarName],
    universe: Universe,
    opened: OpenGalaxies,
    *,
    epoch: int,
    option: str = "",
    explains_all: bool = False,
) -> UpdateChoice:
    """Return the stars that change. No wishes: all installed stars are to be updated.

    Of the stars that stay, only the first few are explained, unless `explains_all`.

    Raises `NoSolution` for a star that is not installed or a wish that cannot be met, and for a star `cosmos` that
    could not read the universe of this system afterwards.
    """
    installed = universe.installed
    _demand_installed([*(wish.name for wish in wishes), *lowering], installed, option)
    named = {wish.name for wish in wishes}
    asked = named or set(installed)
    movable = {*asked, *lowering} | all_dependencies(
        named, {name: star.dependencies for name, star in installed.items()}
    )
    library = _UpdateLibrary(universe, opened, movable, lowering, named)
    keep = [
        Wish(who=KEEPER, name=name, constraint=_own_limit(name, star, movable, lowering))
        for name, star in sorted(installed.items())
    ]
    kept = {name: star.version for name, star in installed.items() if name not in asked}
    said = _advice(universe, option)
    demands = [wish.demand for wish in (*wishes, *keep) if wish.name in movable]
    foresee(demands, library, opened.by_name, universe.arch, kept={}, settled=universe.versions)
    resolved = resolve([*wishes, *keep], library, universe.arch, kept, said, asked)
    stars = list[Chosen]()
    for found in resolved:
        name = found.star.name
        if name not in installed or found.star != installed_candidate(name, installed[name]):
            demand_reader(name, found.star.version, found.facts, f"cosmos show {name}{option} lists its versions")
            stars.append(pinned(found, opened))
    most = None if explains_all else MAX_EXPLAINED
    held = _held(sorted(asked), [*wishes, *keep], resolved, library, universe.arch, said, most)
    return UpdateChoice(
        choice=locked_choice(stars, universe, epoch),
        dependencies={found.star.name: found.dependencies for found in resolved},
        held=held,
    )


def updated(universe: Universe, choice: UpdateChoice, records: Mapping[StarName, Installed]) -> Universe:
    """Return `universe` with the new versions and stars. Who asked for a star stays."""
    stars = dict[StarName, Installed]()
    for name, star in universe.installed.items():
        now = choice.dependencies.get(name, star.dependencies)
        stars[name] = star if now == star.dependencies else replace(star, dependencies=now)
    for name, record in records.items():
        old = universe.installed.get(name)
        asked_by, needed_by = ((), ()) if old is None else (old.asked_by, old.needed_by)
        stars[name] = replace(record, asked_by=asked_by, needed_by=needed_by)
    return replace(universe, installed=with_dependants(stars))


def _demand_installed(names: Iterable[StarName], installed: Mapping[StarName, Installed], option: str) -> None:
    for name in names:
        if name not in installed:
            raise NoSolution(name, "is not installed", hint=f"cosmos install {name}{option}")


def _own_limit(
    name: StarName, star: Installed, movable: Collection[StarName], lowering: Collection[StarName]
) -> Constraint:
    """Return which versions of an installed star may be on the system afterwards."""
    if name not in movable:
        return exactly(star.version)
    if name in lowering and not star.version.is_pre_release:
        return ANY_VERSION
    return Constraint.parse(f">={star.version}")  # and not *: it takes a pre-release that is installed


def _advice(universe: Universe, option: str) -> Advice:
    return replace(
        advice(universe, option),
        too_long=f"name the stars to update: cosmos update STAR{option}",
        keeping=f"to let a star go back to an older version: add --allow-downgrade STAR{option}",
        clash=f"to list the known versions: cosmos show STAR{option}; an older one needs --allow-downgrade STAR",
    )


def _held(
    asked: Sequence[StarName],
    wishes: Sequence[Wish],
    resolved: Sequence[Resolved],
    library: _UpdateLibrary,
    arch: Arch,
    said: Advice,
    most: int | None,
) -> tuple[Held, ...]:
    """Return each star of `asked` that stays although a newer version is there, or that no galaxy may update.

    At most `most` of them are explained.
    """
    chosen = {found.star.name: found.star for found in resolved}
    held, explained = list[Held](), 0
    for name in asked:
        version = chosen[name].version
        newest = preferred(library.versions(name), {})[0]
        if name in library.why:
            held.append(Held(name=name, version=version, newest=None, why=library.why[name]))
        elif newest.version != version and not newest.version < version and not newest.version.is_pre_release:
            why, is_explained = "it does not fit beside the other stars", most is None or explained < most
            if is_explained:
                explained += 1
                others = [one for one in wishes if one.name != name or one.who != KEEPER]
                why = _why_not(newest, [*others, *_as_chosen(chosen, name, library)], library, arch, said) or why
            held.append(Held(name=name, version=version, newest=newest.version, why=why, is_explained=is_explained))
    return tuple(held)


def _as_chosen(chosen: Mapping[StarName, Candidate], name: StarName, library: _UpdateLibrary) -> list[Wish]:
    """Return wishes that hold the other installed stars where the update puts them, but not what `name` needs."""
    free = all_dependencies([name], {star: library.dependencies(star) for star in chosen})
    return [
        Wish(who=KEEPER, name=other, constraint=exactly(star.version))
        for other, star in sorted(chosen.items())
        if other not in free
    ]


def _why_not(
    newest: Candidate, wishes: Sequence[Wish], library: _UpdateLibrary, arch: Arch, said: Advice
) -> str | None:
    """Return why this version does not fit, in the resolver's words."""
    wish = Wish(who=UPDATER, name=newest.name, constraint=exactly(newest.version))
    try:
        resolve([*wishes, wish], library, arch, {}, said)
    except NoSolution as error:
        return error.problem.removeprefix(f"{UNSOLVED}{UPDATER} wants {newest.name} {wish.constraint}, but ")
    return None


class _UpdateLibrary:
    """The `Library` of an update: of a star that may move, the installed version and the newer ones of its galaxy.

    `why` says of a star why no galaxy may update it.
    """

    def __init__(
        self,
        universe: Universe,
        opened: OpenGalaxies,
        movable: Collection[StarName],
        lowering: Collection[StarName],
        named: Collection[StarName],
    ) -> None:
        self._universe = universe
        self._base = SystemLibrary(universe, opened)
        self._movable = movable
        self._lowering = lowering
        self._named = named
        self._versions: dict[StarName, tuple[Candidate, ...]] = {}
        self.why: dict[StarName, str] = {}

    def names(self) -> Iterable[StarName]:
        """Return every name of an installed star and every name that a galaxy lists."""
        return self._base.names()

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return the versions that the system may have of `name`."""
        if name not in self._universe.installed:
            return self._base.versions(name)
        if name not in self._versions:
            here = installed_candidate(name, self._universe.installed[name])
            others = self._others(name, self._universe.installed[name]) if name in self._movable else ()
            self._versions[name] = (here, *others)
        return self._versions[name]

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name`: those that are installed, their newer versions, and the galaxies'."""
        here = self._base.installed_providers(name)
        listed = self.versions(name)
        if listed:
            here = [one for one in here if one.galaxy == listed[0].galaxy]
        newer = [one for star in here for one in self.versions(star.name) if one != star]
        try:
            found = [*here, *newer, *self._base.galaxies.providers(name)]
        except CosmosError:
            if not here:
                raise
            found = [*here, *newer]
        return [one for one in dict.fromkeys(found) if one in self.versions(one.name)]

    def claims(self, name: StarName) -> bool:
        """Return whether a star of that name, or one that provides it, is installed or in a galaxy."""
        return self._base.claims(name)

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a star says of itself."""
        return self._base.facts(candidate)

    def dependencies(self, name: StarName) -> tuple[StarName, ...]:
        """Return the dependencies of an installed star; none of another."""
        star = self._universe.installed.get(name)
        return () if star is None else star.dependencies

    def _others(self, name: StarName, star: Installed) -> Sequence[Candidate]:
        if star.galaxy is None:
            self.why[name] = "another program recorded it, without its galaxy"
            return ()
        try:
            found = self._base.galaxies.versions(name)
        except CosmosError as error:
            if name in self._named:
                raise
            self.why[name] = str(error)
            return ()
        if not found and name in self._named:
            self.why[name] = "no galaxy lists it"
        if found and found[0].galaxy != star.galaxy:
            self.why[name] = f"it came from galaxy {star.galaxy}, and galaxy {found[0].galaxy} answers for its name now"
            return ()
        return [
            one
            for one in found
            if one.version != star.version
            and one.arch.runs_on(self._universe.arch)
            and (name in self._lowering or not one.version < star.version)
        ]
