"""A lock is judged from its wishes and its stars: each fault, planted into a right answer, is found and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from cosmos.model.constraint import Constraint
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Facts, Wish
from cosmos.resolve.judging import Fault, faults
from cosmos.resolve.resolving import resolve
from cosmos.resolve.together import Placed
from fakes.libraries import MemoryLibrary, facts

MACHINE = Arch("x86_64")
LIBRARY = {
    "nano 7.2.0": facts(["ncurses ^6", "zlib"]),
    "ncurses 6.4.0": facts(["zlib >=1.3"]),
    "zlib 1.3.1": facts(conflicts=["zlib-ng"]),
    "mutt 2.2.0": facts(["mta"]),
    "exim 4.0.0": facts(provides={"mta": "-"}),
    "postfix 3.0.0": facts(provides={"mta": "-"}),
    "libc6 2.36.0": facts(["libgcc-s1"]),
    "libgcc-s1 12.2.0": facts(["libc6"]),
}
WISHES = {"nano": "^7", "mutt": "*", "libc6": "*"}


def wishes(texts: Mapping[str, str] = WISHES) -> list[Wish]:
    return [Wish(who="image", name=StarName(name), constraint=Constraint.parse(text)) for name, text in texts.items()]


def good() -> dict[str, Placed]:
    found = [row.placed for row in resolve(wishes(), MemoryLibrary(LIBRARY), MACHINE, {})]
    return {str(star.name): star for star in found}


def judged(stars: Mapping[str, Placed] | Sequence[Placed], wished: Mapping[str, str] = WISHES) -> tuple[Fault, ...]:
    rows = list(stars.values()) if isinstance(stars, Mapping) else stars
    return faults(wishes(wished), rows, MACHINE)


def sentences(found: tuple[Fault, ...]) -> list[str]:
    assert all(fault.way_out for fault in found)
    return [str(fault) for fault in found]


def placed(
    text: str, about: Facts, *, dependencies: Sequence[str] = (), wanted_by: Sequence[str] = ("image",)
) -> Placed:
    name, _, version = text.partition(" ")
    return Placed(
        name=StarName(name),
        version=Version.parse(version),
        arch=about.arch,
        galaxy=next(iter(good().values())).galaxy,
        facts=about,
        dependencies=tuple(StarName(one) for one in dependencies),
        wanted_by=tuple(wanted_by),
    )


def test_what_the_resolver_chose_is_right() -> None:
    assert list(good()) == ["exim", "libgcc-s1", "libc6", "mutt", "zlib", "ncurses", "nano"]
    assert judged(good()) == ()


def test_a_wish_that_the_lock_answers_in_another_version_is_named() -> None:
    found = judged(good(), {**WISHES, "nano": "^8"})
    assert sentences(found) == ["image wants nano ^8, but the lock has nano 7.2.0"]
    assert (found[0].kind, found[0].star, found[0].wish and found[0].wish.name) == ("wish", "nano", "nano")


def test_a_block_that_was_removed_is_missed_by_its_wish_and_by_who_needs_it() -> None:
    stars = good()
    del stars["zlib"]
    said = sentences(judged(stars))
    assert "nano 7.2.0 wants zlib *, but no star of the lock answers that" in said
    assert "ncurses 6.4.0 wants zlib >=1.3, but no star of the lock answers that" in said
    stars = good()
    del stars["nano"]
    said = sentences(judged(stars))
    assert "image wants nano ^7, but no star of the lock answers that" in said
    assert "the lock has ncurses 6.4.0, but no wish needs it" in said


def test_a_need_that_the_lock_answers_in_another_version_is_named() -> None:
    stars = good()
    stars["zlib"] = replace(stars["zlib"], version=Version.parse("1.2.0"))
    assert sentences(judged(stars))[0] == "ncurses 6.4.0 wants zlib >=1.3, but the lock has zlib 1.2.0"


def test_two_stars_that_conflict_are_named_with_the_conflict() -> None:
    stars = {**good(), "zlib-ng": placed("zlib-ng 2.0.0", facts())}
    assert sentences(judged(stars, {**WISHES, "zlib-ng": "*"})) == [
        "zlib 1.3.1 conflicts with zlib-ng *, but the lock has zlib-ng 2.0.0"
    ]
    stars["zlib-ng"] = placed("cloudflare-zlib 1.0.0", facts(provides={"zlib-ng": "2.0.0"}))
    assert sentences(judged(stars, {**WISHES, "cloudflare-zlib": "*"})) == [
        "zlib 1.3.1 conflicts with zlib-ng *, which cloudflare-zlib 1.0.0 provides"
    ]


def test_a_star_that_stands_for_another_does_not_stand_beside_it() -> None:
    whole = placed("glibc-runtime 2.36.0", facts(replaces_whole=["libc6"]))
    stars = {"glibc-runtime": whole, **good()}
    assert sentences(judged(stars, {**WISHES, "glibc-runtime": "*"})) == [
        "glibc-runtime 2.36.0 was made from libc6 and stands for it, but the lock has libc6 2.36.0 too"
    ]


def test_a_star_for_another_machine_is_named_with_both_machines() -> None:
    stars = good()
    stars["zlib"] = replace(
        stars["zlib"], arch=Arch("aarch64"), facts=replace(stars["zlib"].facts, arch=Arch("aarch64"))
    )
    assert sentences(judged(stars)) == ["zlib 1.3.1 is for aarch64, and does not run on x86_64"]
    stars["zlib"] = replace(stars["zlib"], arch=Arch("any"))
    assert sentences(judged(stars)) == ["zlib 1.3.1 is locked for any, but its statement says aarch64"]


def test_a_star_that_nobody_wants_is_named_also_where_two_want_each_other() -> None:
    lone = {"lone": placed("lone 1.0.0", facts()), **good()}
    assert sentences(judged(lone)) == ["the lock has lone 1.0.0, but no wish needs it"]
    ring = {
        "a": placed("a 1.0.0", facts(["b"]), dependencies=["b"], wanted_by=["b"]),
        "b": placed("b 1.0.0", facts(["a"]), dependencies=["a"], wanted_by=["a"]),
    }
    assert "the lock has a 1.0.0, but no wish needs it" in sentences(judged({**ring, **good()}))


def test_a_second_provider_that_a_merge_brought_in_is_not_wanted() -> None:
    stars = {"postfix": placed("postfix 3.0.0", LIBRARY["postfix 3.0.0"], wanted_by=["mutt"]), **good()}
    assert sentences(judged(stars)) == ["the lock has postfix 3.0.0, but no wish needs it"]
    stars["mutt"] = replace(stars["mutt"], dependencies=(StarName("exim"), StarName("postfix")))
    said = sentences(judged(stars))
    assert "mutt 2.2.0 names postfix among its dependencies, but does not need it" in said


@pytest.mark.parametrize(
    ("star", "change", "sentence"),
    [
        (
            "zlib",
            {"wanted_by": ("ncurses",)},
            "zlib 1.3.1 says that it is wanted by ncurses; expected nano, ncurses",
        ),
        ("nano", {"wanted_by": ()}, "nano 7.2.0 says that it is wanted by nobody; expected image"),
        (
            "nano",
            {"dependencies": (StarName("ncurses"),)},
            "nano 7.2.0 wants zlib *, but does not name zlib among its dependencies",
        ),
        (
            "mutt",
            {"dependencies": (StarName("exim"), StarName("zlib"))},
            "mutt 2.2.0 names zlib among its dependencies, but does not need it",
        ),
    ],
)
def test_a_row_that_does_not_follow_is_named(star: str, change: dict[str, object], sentence: str) -> None:
    stars = good()
    stars[star] = replace(stars[star], **change)  # type: ignore[arg-type]  # whichever field the case changes  # a table of changes has values of several types
    assert sentence in sentences(judged(stars))


def test_a_star_that_is_there_twice_is_named_with_both_versions() -> None:
    stars = list(good().values())
    twice = [*stars, replace(stars[-1], version=Version.parse("7.1.0"))]
    assert sentences(judged(twice)) == ["the lock has nano twice, as 7.2.0 and as 7.1.0"]


def test_a_star_that_comes_before_what_it_needs_is_named() -> None:
    stars = list(good().values())
    stars.insert(0, stars.pop())
    assert sentences(judged(stars)) == [
        "nano 7.2.0 comes before zlib 1.3.1, which must come first",
        "nano 7.2.0 comes before ncurses 6.4.0, which must come first",
    ] or sentences(judged(stars)) == [
        "nano 7.2.0 comes before ncurses 6.4.0, which must come first",
        "nano 7.2.0 comes before zlib 1.3.1, which must come first",
    ]


def test_a_circle_has_one_order() -> None:
    stars = list(good().values())
    at = [star.name for star in stars].index(StarName("libc6"))
    stars[at - 1], stars[at] = stars[at], stars[at - 1]
    assert sentences(judged(stars)) == ["libc6 2.36.0 comes before libgcc-s1 12.2.0, which must come first"]


def test_all_faults_are_told_not_the_first() -> None:
    stars = good()
    stars["zlib"] = replace(stars["zlib"], version=Version.parse("1.2.0"))
    del stars["exim"]
    kinds = {fault.kind for fault in judged(stars, {**WISHES, "nano": "^8"})}
    assert kinds == {"wish", "need", "reasons"}


def test_beside_a_star_of_that_name_only_its_own_galaxy_answers_for_the_name() -> None:
    stars = good()
    stars["zlib"] = replace(stars["zlib"], version=Version.parse("1.2.0"))
    same = placed("zlib-new 1.0.0", facts(provides={"zlib": "1.3.0"}), wanted_by=["image", "ncurses"])
    ncurses = replace(stars["ncurses"], dependencies=(StarName("zlib-new"),))
    stars = {"zlib-new": same, **stars, "ncurses": ncurses}
    stars["zlib"] = replace(stars["zlib"], wanted_by=("nano",))
    wished = {**WISHES, "zlib-new": "*"}
    assert judged(stars, wished) == ()
    stars["zlib-new"] = replace(same, galaxy=GalaxyName("other"))
    assert "ncurses 6.4.0 wants zlib >=1.3, but the lock has zlib 1.2.0" in sentences(judged(stars, wished))


def test_what_a_star_that_is_called_image_wants_is_not_thereby_wished_for() -> None:
    stars = [
        placed("zlib 1.0.0", facts(), wanted_by=("image",)),
        placed("image 1.0.0", facts(["zlib"]), dependencies=("zlib",), wanted_by=()),
        placed("nano 1.0.0", facts()),
    ]
    said = sentences(judged(stars, {"nano": "*"}))
    assert said == ["the lock has zlib 1.0.0, but no wish needs it", "the lock has image 1.0.0, but no wish needs it"]


def test_of_a_long_list_of_who_wants_a_star_the_difference_is_named() -> None:
    users = [f"user{number:02}" for number in range(20)]
    stated = [*users[1:], "stray"]
    stars = {
        "base": placed("base 1.0.0", facts([]), wanted_by=stated),
        **{
            name: placed(f"{name} 1.0.0", facts(["base"]), dependencies=["base"], wanted_by=["image"]) for name in users
        },
    }
    assert sentences(judged(stars, dict.fromkeys(users, "*"))) == [
        "base 1.0.0 says that it is wanted by stray, but it is not, and does not say that it is wanted by user00"
    ]


def test_a_need_that_nobody_answers_is_told_once() -> None:
    """The dependency that is gone is not called needless as well."""
    stars = good()
    del stars["zlib"]
    said = sentences(judged(stars))
    assert any("wants zlib" in one for one in said)
    assert not any("does not need it" in one for one in said)
