"""Why a star is not in a newer version: each wish, need and conflict that is against it."""

from __future__ import annotations

import pytest

from cosmos.model.constraint import Constraint
from cosmos.model.demand import Demand, parse_need
from cosmos.model.facts import Facts
from cosmos.model.names import ANY_ARCH, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Wish
from cosmos.resolve.held import Holding
from cosmos.resolve.together import Placed


def star(name: str, version: str, *needs: str, provides: str = "", conflicts: str = "") -> Placed:
    return Placed(
        name=StarName(name),
        version=Version.parse(version),
        arch=ANY_ARCH,
        galaxy=GalaxyName("core"),
        facts=Facts(
            needs=tuple(map(parse_need, needs)),
            provides={StarName(provides): (None,)} if provides else {},
            conflicts=(Demand.parse(conflicts),) if conflicts else (),
        ),
        dependencies=(),
        wanted_by=(),
    )


def held(newer: Placed, *others: Placed, wishes: dict[str, str] | None = None) -> tuple[str, ...]:
    """Return what holds `newer` back; the chosen one of that name is version 1.0.0 without facts."""
    asked = [
        Wish(who="image", name=StarName(name), constraint=Constraint.parse(text))
        for name, text in (wishes or {}).items()
    ]
    return Holding(asked, [star(newer.name, "1.0.0"), *others]).holders(newer.name, newer.version, newer.facts)


NEWER = star("zlib", "2.0.0")


@pytest.mark.parametrize(
    ("others", "wishes", "said"),
    [
        ((), {"zlib": "^1"}, ("image wants zlib ^1",)),
        ((), {"zlib": "*"}, ()),
        ((star("nano", "7.0.0", "zlib ^1"),), {}, ("nano 7.0.0 wants zlib ^1",)),
        ((star("nano", "7.0.0", "zlib ^1 | zlib ^2"),), {}, ()),
        ((star("nano", "7.0.0", "zlib ^1 | less"), star("less", "1.0.0")), {}, ()),
        ((star("nano", "7.0.0", "zlib ^1 | less"),), {}, ("nano 7.0.0 wants zlib ^1 or less *",)),
        ((star("nano", "7.0.0", "zlib ^1", "zlib ^1"),), {}, ("nano 7.0.0 wants zlib ^1",)),
        ((star("nano", "7.0.0", conflicts="zlib >=2"),), {}, ("nano 7.0.0 conflicts with zlib >=2",)),
        ((star("nano", "7.0.0", conflicts="zlib <2"),), {}, ()),
    ],
)
def test_who_does_not_want_the_newer_version(
    others: tuple[Placed, ...], wishes: dict[str, str], said: tuple[str, ...]
) -> None:
    assert held(NEWER, *others, wishes=wishes) == said


@pytest.mark.parametrize(
    ("newer", "said"),
    [
        (star("zlib", "2.0.0", "libc ^3"), ("zlib 2.0.0 wants libc ^3, but libc 2.9.0 is chosen",)),
        (star("zlib", "2.0.0", "gone"), ("zlib 2.0.0 wants gone *, but no chosen star answers that",)),
        (star("zlib", "2.0.0", "mail"), ()),
        (star("zlib", "2.0.0", "virt", provides="virt"), ()),
        (star("zlib", "2.0.0", "zlib ^2"), ()),
        (star("zlib", "2.0.0", conflicts="libc"), ("zlib 2.0.0 conflicts with libc *, and libc 2.9.0 is there",)),
    ],
)
def test_what_the_newer_version_itself_lacks(newer: Placed, said: tuple[str, ...]) -> None:
    assert held(newer, star("libc", "2.9.0"), star("exim", "4.0.0", provides="mail")) == said
