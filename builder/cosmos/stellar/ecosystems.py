"""The table of the ecosystems that a recipe's `source` may name, and the functions that work on all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cosmos.debian.ecosystem import Debian
from cosmos.errors import Faults, Malformed
from cosmos.model.names import ANY_ARCH, Arch
from cosmos.model.star import Origin, Recipe, SourceRules
from cosmos.records import dataclass
from cosmos.stellar.tar_archive import TarArchives
from cosmos.tree.ecosystem import Asked, Contents, Ecosystem, Found, Material, Outside

ECOSYSTEMS: Final[Mapping[str, type[Ecosystem]]] = {
    "deb": Debian,
    "tar": TarArchives,
}
RULES: Final[Mapping[str, SourceRules]] = {scheme: one.rules for scheme, one in ECOSYSTEMS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One package of a star, as it was found; `material` has its contents."""

    found: Found
    material: Material

    def read(self) -> Contents:
        """Return its contents; raises `Refused` or `Malformed`."""
        return self.material.read(self.found)


def opened(outside: Outside) -> dict[str, Ecosystem]:
    """Return each ecosystem, opened for this machine. Nothing is read yet."""
    return {scheme: one.at(outside) for scheme, one in ECOSYSTEMS.items()}


def check_sources(recipe: Recipe, file: str) -> None:
    """Raise `Malformed` for an invalid source of a recipe, or an invalid key for it; `file` is the recipe's file."""
    faults = Faults()
    for place, text in enumerate(recipe.sources):
        scheme = scheme_of(text)
        with faults.noting():
            if scheme not in ECOSYSTEMS:
                said = f"want {' or '.join(rules.form for rules in RULES.values())}, got {text[:80]!r}"
                raise Malformed(file, f"source[{place}]: {said}", hint="own files go into files/")
            try:
                ECOSYSTEMS[scheme].check_source(text)
            except ValueError as error:
                raise Malformed(file, f"source[{place}]: {error}") from error
    faults.demand_none()
    for scheme, sources in _by_scheme(recipe.sources).items():
        with faults.noting():
            ECOSYSTEMS[scheme].check_keys(sources, recipe.beside_source)
    faults.demand_none()


def find(recipe: Recipe, folder: Path, ecosystems: Mapping[str, Ecosystem], machine: Arch) -> list[Part]:
    """Return a part for each source of `recipe` in `folder`, in their order; raises `NoSolution`, `WorldFailed`.

    `machine`: the architecture to look for if the recipe names none. `check_sources` has checked the recipe before.
    """
    found: dict[str, Iterator[Part]] = {}
    for scheme, asked in _requests(recipe, folder, machine).items():
        material = ecosystems[scheme].find(asked)
        found[scheme] = iter([Part(found=one, material=material) for one in material.found])
    return [next(found[scheme_of(text)]) for text in recipe.sources]


def fetch_ahead(recipes: Iterable[tuple[Recipe, Path]], ecosystems: Mapping[str, Ecosystem], machine: Arch) -> None:
    """Fetch the packages of these recipes, each with its folder, at once; raises `WorldFailed` or `Refused`.

    `check_sources` has checked them before. What cannot be found is left for `find` to tell.
    """
    requests: dict[str, list[Asked]] = {}
    for recipe, folder in recipes:
        for scheme, asked in _requests(recipe, folder, machine).items():
            requests.setdefault(scheme, []).append(asked)
    for scheme, together in requests.items():
        ecosystems[scheme].fetch_ahead(together)


def _requests(recipe: Recipe, folder: Path, machine: Arch) -> dict[str, Asked]:
    """Return what the recipe asks of each ecosystem."""
    return {
        scheme: Asked(
            sources=sources,
            beside=recipe.beside_source,
            folder=folder,
            arch=machine if recipe.arch == ANY_ARCH else recipe.arch,
            version=recipe.version,
        )
        for scheme, sources in _by_scheme(recipe.sources).items()
    }


def fetch(parts: Iterable[Part]) -> None:
    """Fetch all found packages; raises `WorldFailed` or `Refused`."""
    for material in {id(part.material): part.material for part in parts}.values():
        material.fetch()


def wild_parts(recipe: Recipe, origins: Sequence[Origin]) -> tuple[tuple[str, str], ...]:
    """Return the texts that the wildcards of the recipe's sources stand for in `origins`."""
    return tuple(
        pair
        for text in recipe.sources
        for origin in origins
        if origin.ecosystem == scheme_of(text)
        for pair in ECOSYSTEMS[scheme_of(text)].wild_parts(text, origin.name)
    )


def nouns(sources: Iterable[str]) -> str:
    """Return the nouns for the things that `sources` name.

    >>> nouns(["deb:nano", "tar:a.tar", "deb:less"])
    'packages and archives'
    """
    return " and ".join(dict.fromkeys(_rules(text).noun for text in sources if scheme_of(text) in RULES)) or "packages"


def listed_by(sources: Iterable[str]) -> str:
    """Return the commands that list the paths in `sources`."""
    return " or ".join(dict.fromkeys(_rules(text).listed_by for text in sources))


def describe_themselves(sources: Sequence[str]) -> bool:
    """Return whether everything in `sources` states its own licence and description."""
    return bool(sources) and not any(scheme_of(one) in RULES and not _rules(one).has_description for one in sources)


def scheme_of(source: str) -> str:
    """Return the name of the source's ecosystem."""
    return source.partition(":")[0]


def _rules(source: str) -> SourceRules:
    return RULES[scheme_of(source)]


def _by_scheme(sources: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for text in sources:
        found.setdefault(scheme_of(text), []).append(text)
    return {scheme: tuple(texts) for scheme, texts in found.items()}
