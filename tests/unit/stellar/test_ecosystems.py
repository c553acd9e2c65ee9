"""A further ecosystem is one module, which answers what all are asked, and one line of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.star import Origin, SourceRules
from cosmos.model.version import Version
from cosmos.stellar import ecosystems
from cosmos.stellar.build_star import Workshop, build_star
from cosmos.stellar.validate_star import validate_star
from cosmos.tables import Table
from cosmos.tree.ecosystem import Asked, Contents, Found, Outside
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

Make = Callable[..., Path]


class Toys:
    """Packages that are their own names: all that a module of a further ecosystem has to hold."""

    rules: ClassVar = SourceRules(
        form="toy:NAME", noun="toys", keys=("colour",), version_scheme="semver", has_description=True, listed_by="look"
    )

    @classmethod
    def at(cls, _outside: Outside) -> Self:
        return cls()

    @classmethod
    def check_source(cls, source: str) -> None:
        if not source.removeprefix("toy:").isalpha():
            raise ValueError(f"want toy:NAME, got {source!r}")

    @classmethod
    def check_keys(cls, _sources: Sequence[str], beside: Table) -> None:
        beside.need("colour", str)

    @classmethod
    def wild_parts(cls, _source: str, _name: str) -> tuple[tuple[str, str], ...]:
        return ()

    def fetch_ahead(self, _requests: Sequence[Asked]) -> None:
        """Need nothing."""

    def find(self, asked: Asked) -> ToyBox:
        return ToyBox(asked)


class ToyBox:
    def __init__(self, asked: Asked) -> None:
        self._colour = asked.beside.need("colour", str)
        self.found = tuple(self._found(source.removeprefix("toy:")) for source in asked.sources)

    def _found(self, name: str) -> Found:
        origin = Origin(ecosystem="toy", name=name, version="3.2.1", digest=Digest.of(name.encode()))
        return Found(origin=origin, owner=f"the toy {name}", version=Version.parse("3.2.1"), summary=f"a {name}")

    def fetch(self) -> None:
        """Need nothing."""

    def read(self, found: Found) -> Contents:
        path = TreePath.parse(f"toys/{found.origin.name}")
        content = self._colour.encode()
        return Contents(entries=(Entry(path=path, kind="file", mode=0o644, content=content),), licence="ISC")


@pytest.fixture
def with_toys(monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> Workshop:
    monkeypatch.setitem(ecosystems.ECOSYSTEMS, "toy", Toys)
    monkeypatch.setitem(ecosystems.RULES, "toy", Toys.rules)
    return replace(workshop, ecosystems={**workshop.ecosystems, "toy": Toys()})


def test_a_further_ecosystem_is_built_from_and_validated_like_any_other(make_folder: Make, with_toys: Workshop) -> None:
    folder = make_folder('name = "hello"\nsource = ["toy:top", "toy:ball"]\ncolour = "red"\n')
    built = build_star(folder, with_toys)
    star = built.manifest
    assert (str(star.version), star.license, star.description, star.arch) == ("3.2.1", "ISC", "a top", "any")
    assert [(origin.ecosystem, origin.name) for origin in star.origins] == [("toy", "top"), ("toy", "ball")]
    assert {one.path.text: bytes(one.content) for one in built.entries} == {"toys/ball": b"red", "toys/top": b"red"}
    assert validate_star(folder) == ()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('source = "toy:1"\ncolour = "red"\n', r"source\[0\]: want toy:NAME, got 'toy:1'"),
        ('source = "toy:top"\n', "colour: missing"),
        ('source = "deb:top"\ncolour = "red"\n', "colour: belongs to toys, but source names no toy:"),
        ('source = "apk:top"\n', r"want deb:NAME or tar:PATH-OR-URL or toy:NAME, got 'apk:top'"),
    ],
)
def test_what_a_recipe_says_of_it_is_checked(make_folder: Make, with_toys: Workshop, rows: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        build_star(make_folder(f'name = "hello"\nversion = "1.0.0"\n{rows}'), with_toys)
