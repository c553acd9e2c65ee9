"""From wishes to stars: the newest that fits, the kept before the newer, and sentences where nothing fits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest

from cosmos.errors import NoSolution
from cosmos.model.constraint import Constraint
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Facts, Galaxies, Library
from cosmos.resolve.judging import Placed, faults
from cosmos.resolve.resolving import Resolved, Wish, resolve
from fakes.libraries import MemoryLibrary, facts

MACHINE = Arch("x86_64")


def wished(wishes: Mapping[str, str], who: str = "image") -> list[Wish]:
    return [Wish(who=who, name=StarName(name), constraint=Constraint.parse(text)) for name, text in wishes.items()]


def chosen(
    wishes: Mapping[str, str] | list[Wish],
    library: Library | Mapping[str, Facts],
    kept: Mapping[str, str] | None = None,
) -> tuple[Resolved, ...]:
    offered = MemoryLibrary(library) if isinstance(library, Mapping) else library
    old = {StarName(name): Version.parse(text) for name, text in (kept or {}).items()}
    return resolve(wishes if isinstance(wishes, list) else wished(wishes), offered, MACHINE, old)


def names(found: tuple[Resolved, ...]) -> list[str]:
    return [str(row.star) for row in found]


def sentence(wishes: Mapping[str, str] | list[Wish], library: Library | Mapping[str, Facts]) -> str:
    with pytest.raises(NoSolution) as caught:
        chosen(wishes, library)
    return str(caught.value)


# What is chosen.


def test_a_star_may_be_called_as_whoever_wishes_for_it_is() -> None:
    library = {"image 1.0.0": facts(["zlib"]), "zlib 1.2.0": facts()}
    found = chosen({"image": "*"}, library)
    assert [(str(row.star), row.wanted_by) for row in found] == [
        ("zlib 1.2.0", ("star:image",)),
        ("image 1.0.0", ("image",)),
    ]
    with_circle = chosen({"zlib": "*"}, {**library, "zlib 1.2.0": facts(["image"])})
    assert [row.wanted_by for row in with_circle] == [("image", "star:image"), ("zlib",)]


def test_the_newest_version_that_fits_everyone_is_chosen() -> None:
    library = {
        "nano 7.2.0": facts({"zlib": "<2"}),
        "zlib 1.2.0": facts(),
        "zlib 1.3.1": facts(),
        "zlib 2.0.0": facts(),
    }
    assert names(chosen({"nano": "*"}, library)) == ["zlib 1.3.1", "nano 7.2.0"]


def test_an_older_version_is_chosen_where_the_newest_cannot_stand_with_the_others() -> None:
    library = {
        "nano 7.0.0": facts({"zlib": "^1"}),
        "nano 8.0.0": facts({"zlib": "^2"}),
        "bash 5.0.0": facts({"zlib": "^1"}),
        "zlib 1.3.1": facts(),
        "zlib 2.0.0": facts(),
    }
    assert names(chosen({"nano": "*", "bash": "*"}, library)) == ["zlib 1.3.1", "bash 5.0.0", "nano 7.0.0"]


def test_a_star_that_was_only_tried_on_the_way_is_left_out() -> None:
    library = {
        "a 2.0.0": facts({"helper": "*", "b": "^2"}),
        "a 1.0.0": facts(),
        "b 1.0.0": facts(),
        "helper 1.0.0": facts(),
    }
    assert names(chosen({"a": "*", "b": "*"}, library)) == ["a 1.0.0", "b 1.0.0"]


def test_a_pre_release_is_chosen_only_where_a_constraint_names_one() -> None:
    library = {"a 1.0.0": facts(), "a 1.1.0-rc.1": facts()}
    assert names(chosen({"a": "*"}, library)) == ["a 1.0.0"]
    assert names(chosen({"a": "^1.1.0-rc.1"}, library)) == ["a 1.1.0-rc.1"]


def test_a_release_goes_before_a_newer_pre_release() -> None:
    library = {"a 1.1.0-rc.1": facts(), "a 1.1.0": facts(), "a 1.1.0-rc.2": facts()}
    assert names(chosen({"a": ">=1.1.0-rc.1"}, library)) == ["a 1.1.0"]


def test_builds_of_one_version_are_told_apart() -> None:
    library = {"a 1.0.0+b1": facts(), "a 1.0.0+b2": facts()}
    assert names(chosen({"a": "*"}, library)) == ["a 1.0.0+b2"]
    assert names(chosen({"a": "=1.0.0+b1"}, library)) == ["a 1.0.0+b1"]


def test_a_kept_version_stays_while_it_fits_and_moves_when_it_must() -> None:
    library = {"zlib 1.2.0": facts(), "zlib 1.3.1": facts(), "nano 7.2.0": facts({"zlib": ">=1.3"})}
    assert names(chosen({"zlib": "*"}, library, {"zlib": "1.2.0"})) == ["zlib 1.2.0"]
    assert names(chosen({"zlib": "*"}, library, {"zlib": "1.1.0"})) == ["zlib 1.3.1"]
    assert names(chosen({"zlib": "*", "nano": "*"}, library, {"zlib": "1.2.0"})) == ["zlib 1.3.1", "nano 7.2.0"]


def test_only_stars_that_run_on_the_machine_are_chosen() -> None:
    library = {"a 2.0.0": facts(arch="aarch64"), "a 1.0.0": facts(arch="x86_64"), "b 1.0.0": facts(arch="any")}
    assert names(chosen({"a": "*", "b": "*"}, library)) == ["a 1.0.0", "b 1.0.0"]


def test_who_wants_a_star_is_told() -> None:
    library = {"nano 7.2.0": facts({"zlib": "*"}), "zlib 1.3.1": facts(), "lone 1.0.0": facts()}
    found = chosen(
        [*wished({"zlib": "*", "nano": "*"}), *wished({"nano": "^7"}, "constellation:tools"), *wished({"lone": "*"})],
        library,
    )
    assert {str(row.star.name): row.wanted_by for row in found} == {
        "lone": ("image",),
        "zlib": ("image", "nano"),
        "nano": ("constellation:tools", "image"),
    }
    assert [row.dependencies for row in found] == [(), (), ("zlib",)]


def test_facts_are_asked_for_only_where_a_star_comes_into_question() -> None:
    offered = MemoryLibrary(
        {"a 1.0.0": facts(), "a 2.0.0": facts(), "b 1.0.0": facts(), "c 1.0.0": facts(provides={"d": "1.0.0"})}
    )
    chosen({"a": "*"}, offered)
    assert set(offered.asked) == {"a 2.0.0"}


# What a star provides and what it conflicts with.


def test_a_name_that_nobody_lists_is_provided_by_another_star() -> None:
    library = {"nano 7.2.0": facts({"libz": "^1"}), "zlib-ng 2.1.0": facts(provides={"libz": "1.3.0"})}
    found = chosen({"nano": "*"}, library)
    assert names(found) == ["zlib-ng 2.1.0", "nano 7.2.0"]
    assert found[1].dependencies == ("zlib-ng",)
    assert found[0].wanted_by == ("nano",)


def test_what_is_provided_has_a_version_as_well() -> None:
    library = {"nano 7.2.0": facts({"libz": "^1"}), "zlib-ng 2.1.0": facts(provides={"libz": "2.0.0"})}
    assert "nano 7.2.0 wants libz ^1" in sentence({"nano": "*"}, library)


def test_a_star_of_that_name_goes_before_a_star_that_provides_it() -> None:
    library = {"libz 1.0.0": facts(), "zlib-ng 2.1.0": facts(provides={"libz": "9.0.0"})}
    assert names(chosen({"libz": "*"}, library)) == ["libz 1.0.0"]


def test_of_two_providers_the_one_that_is_wished_for_is_chosen() -> None:
    library = {
        "a-provider 1.0.0": facts(provides={"mta": "1.0.0"}),
        "z-provider 1.0.0": facts(provides={"mta": "1.0.0"}),
        "mutt 1.0.0": facts({"mta": "*"}),
    }
    assert names(chosen({"mutt": "*"}, library)) == ["a-provider 1.0.0", "mutt 1.0.0"]
    assert names(chosen({"mutt": "*", "z-provider": "*"}, library)) == ["z-provider 1.0.0", "mutt 1.0.0"]


def test_a_star_may_depend_on_what_it_provides_itself() -> None:
    found = chosen({"a": "*"}, {"a 1.0.0": facts({"sh": "*"}, provides={"sh": "1.0.0"})})
    assert names(found) == ["a 1.0.0"]
    assert found[0].dependencies == ()


def test_stars_that_conflict_do_not_stand_together_and_an_older_one_may() -> None:
    library = {
        "a 2.0.0": facts(conflicts={"b": "*"}),
        "a 1.0.0": facts(conflicts={"b": "<1"}),
        "b 1.0.0": facts(),
    }
    assert names(chosen({"a": "*"}, library)) == ["a 2.0.0"]
    assert names(chosen({"a": "*", "b": "*"}, library)) == ["a 1.0.0", "b 1.0.0"]


def test_a_conflict_counts_from_whichever_side_it_is_declared_and_in_whichever_order() -> None:
    for one, other in (("a", "b"), ("b", "a")):
        library = {f"{one} 1.0.0": facts(conflicts={other: "*"}), f"{other} 1.0.0": facts()}
        assert f"{one} 1.0.0 conflicts with {other} *" in sentence({"a": "*", "b": "*"}, library)


def test_a_conflict_with_something_that_only_a_tried_star_needs_is_none() -> None:
    library = {
        "a 1.0.0": facts(conflicts={"c": "*"}),
        "b 2.0.0": facts({"c": "*"}),
        "b 1.0.0": facts(),
        "c 1.0.0": facts(),
    }
    assert names(chosen({"a": "*", "b": "*"}, library)) == ["a 1.0.0", "b 1.0.0"]


def test_only_one_star_of_a_kind_that_provide_and_conflict_with_its_name_is_there() -> None:
    kind = {"provides": {"mta": "1.0.0"}, "conflicts": {"mta": "*"}}
    library = {"exim 1.0.0": facts(**kind), "postfix 1.0.0": facts(**kind)}
    assert names(chosen({"exim": "*", "mta": "*"}, library)) == ["exim 1.0.0"]
    assert "conflicts with mta *, which" in sentence({"exim": "*", "postfix": "*"}, library)


def test_a_pre_release_is_not_beyond_a_conflict() -> None:
    library = {"a 1.0.0": facts(conflicts={"b": "*"}), "b 1.0.0-rc.1": facts()}
    sentence({"a": "*", "b": "^1.0.0-rc.1"}, library)


# Galaxies in order of priority.


def galaxies(*libraries: tuple[str, Mapping[str, Facts]]) -> Galaxies:
    return Galaxies(libraries={GalaxyName(name): MemoryLibrary(stars, name) for name, stars in libraries})


def test_a_lower_galaxy_is_not_asked_for_a_name_that_a_higher_one_lists() -> None:
    library = galaxies(
        ("mine", {"zlib 1.2.0": facts()}), ("core", {"zlib 9.9.9": facts(), "nano 7.2.0": facts({"zlib": "*"})})
    )
    found = chosen({"nano": "*"}, library)
    assert [(str(row.star), row.star.galaxy) for row in found] == [("zlib 1.2.0", "mine"), ("nano 7.2.0", "core")]


def test_a_lower_galaxy_is_not_asked_even_when_nothing_in_the_higher_one_fits() -> None:
    library = galaxies(("mine", {"zlib 1.2.0": facts()}), ("core", {"zlib 2.0.0": facts()}))
    assert sentence({"zlib": "^2"}, library) == "no solution: image wants zlib ^2, but galaxy mine has only 1.2.0"


def test_a_lower_galaxy_cannot_provide_a_name_that_a_higher_one_lists_or_provides() -> None:
    evil = {"evil 1.0.0": facts(provides={"zlib": "9.0.0", "mta": "9.0.0"})}
    library = galaxies(
        ("mine", {"zlib 1.2.0": facts(), "exim 1.0.0": facts(provides={"mta": "1.0.0"})}), ("core", evil)
    )
    assert names(chosen({"zlib": "*", "mta": "*"}, library)) == ["exim 1.0.0", "zlib 1.2.0"]


def test_a_shadowed_star_of_a_lower_galaxy_provides_nothing() -> None:
    library = galaxies(("mine", {"exim 1.0.0": facts()}), ("core", {"exim 9.0.0": facts(provides={"mta": "1.0.0"})}))
    assert "image wants mta, which no galaxy has" in sentence({"mta": "*"}, library)


# Sentences.


def test_a_conflict_names_who_wants_what() -> None:
    library = {"nano 7.2.0": facts({"zlib": "<2"}), "zlib 1.3.1": facts(), "zlib 2.0.0": facts()}
    assert (
        sentence({"zlib": "^2", "nano": "*"}, library)
        == "no solution: image wants zlib ^2, but nano 7.2.0 wants zlib <2"
    )


def test_a_conflict_deep_down_names_the_stars_in_between() -> None:
    library = {
        "a 1.0.0": facts({"c": "^1"}),
        "b 1.0.0": facts({"c": "^2"}),
        "c 1.0.0": facts(),
        "c 2.0.0": facts(),
    }
    text = sentence({"a": "*", "b": "*"}, library)
    assert "a 1.0.0 wants c ^1" in text
    assert "b 1.0.0 wants c ^2" in text


def test_a_missing_star_is_named_with_who_wants_it_and_what_has_a_like_name() -> None:
    library = {"nano 7.2.0": facts({"zlibb": "*"}), "zlib 1.3.1": facts()}
    with pytest.raises(NoSolution) as caught:
        chosen({"nano": "*"}, library)
    assert str(caught.value) == "no solution: nano 7.2.0 wants zlibb, which no galaxy has"
    assert caught.value.hint == "did you mean zlib?"


def test_a_version_that_is_not_there_is_named_with_those_that_are() -> None:
    library = {f"zlib 1.{minor}.0": facts() for minor in range(9)}
    assert (
        sentence({"zlib": "^2"}, library)
        == "no solution: image wants zlib ^2, but galaxy core has only 1.8.0, 1.7.0, 1.6.0, 1.5.0, 1.4.0 and 4 older"
    )


def test_a_star_for_another_machine_alone_is_named_with_that_machine() -> None:
    library = {"grub 2.0.0": facts(arch="aarch64")}
    assert (
        sentence({"grub": "*"}, library)
        == "no solution: image wants grub *, but galaxy core has it for aarch64 only, and not for x86_64"
    )


# The order, and that there is one answer.


def test_stars_come_after_what_they_depend_on_and_by_name_otherwise() -> None:
    library = {
        "z 1.0.0": facts(),
        "m 1.0.0": facts({"z": "*"}),
        "a 1.0.0": facts({"m": "*"}),
        "b 1.0.0": facts(),
        "n 1.0.0": facts(),
    }
    assert [row.star.name for row in chosen({"a": "*", "b": "*", "n": "*"}, library)] == ["b", "n", "z", "m", "a"]


def test_a_galaxy_of_three_hundred_stars_is_resolved_in_a_moment() -> None:
    stars = {
        f"s{number:03} {major}.0.0": facts({f"s{below:03}": "*" for below in range(max(0, number - 8), number)})
        for number in range(300)
        for major in (1, 2)
    }
    assert len(chosen({"s299": "*"}, stars)) == 300


def test_a_circle_among_choices_that_were_given_up_is_no_end_of_the_search() -> None:
    library = {
        "d 1.0.0": facts(),
        "d 2.0.0": facts({"a": "^2", "d": "=1.0.0"}, conflicts={"c": "*"}, provides={"d": "2.0.0"}),
        "a 1.0.0": facts({"e": "<2", "b": "^1"}, conflicts={"d": "*"}),
        "a 1.1.0": facts({"e": "^2", "a": ">=1.1"}, provides={"d": "1.1.0"}),
        "a 2.0.0": facts({"e": "^1", "a": "*"}, provides={"d": "1.1.0"}),
        "b 1.1.0": facts(conflicts={"d": "^1"}),
        "e 1.0.0": facts({"c": "*"}),
        "e 1.1.0": facts(),
    }
    assert [str(row.star) for row in chosen({"d": "*"}, library)] == ["d 1.0.0"]


def test_a_circle_is_legal_and_each_of_its_stars_names_the_other() -> None:
    library = {
        "libc6 2.36.0": facts({"libgcc-s1": "*"}),
        "libgcc-s1 12.2.0": facts({"libc6": ">=2.35"}),
        "bash 5.2.0": facts({"libc6": "*"}),
    }
    found = chosen({"bash": "*"}, library)
    assert names(found) == ["libgcc-s1 12.2.0", "libc6 2.36.0", "bash 5.2.0"]
    assert [row.dependencies for row in found] == [("libc6",), ("libgcc-s1",), ("libc6",)]


def test_a_star_that_needs_itself_in_another_version_cannot_be_had() -> None:
    assert "a 1.0.0 wants a ^2" in sentence({"a": "*"}, {"a 1.0.0": facts({"a": "^2"})})
    assert names(chosen({"a": "*"}, {"a 1.0.0": facts({"a": "^1"})})) == ["a 1.0.0"]


# Alternatives, and names that a star provides beside the star of that name.


def test_of_alternatives_the_first_is_chosen_that_can_be_had() -> None:
    library = {"a 1.0.0": facts(["b ^2 | c | d"]), "b 1.0.0": facts(), "c 1.0.0": facts(), "d 1.0.0": facts()}
    assert names(chosen({"a": "*"}, library)) == ["c 1.0.0", "a 1.0.0"]


def test_an_alternative_that_is_there_already_brings_no_other_one() -> None:
    library = {"a 1.0.0": facts(["b | c"]), "b 1.0.0": facts(), "c 1.0.0": facts(), "z 1.0.0": facts(["c"])}
    assert names(chosen({"a": "*", "z": "*"}, library)) == ["c 1.0.0", "a 1.0.0", "z 1.0.0"]


def test_of_alternatives_the_one_that_the_lock_has_stays() -> None:
    library = {"a 1.0.0": facts(["b | c"]), "b 1.0.0": facts(), "c 1.0.0": facts(), "c 2.0.0": facts()}
    assert names(chosen({"a": "*"}, library, {"c": "1.0.0"})) == ["c 1.0.0", "a 1.0.0"]


def test_a_star_that_provides_the_name_of_another_answers_a_need_for_it() -> None:
    library = {
        "bash 5.2.0": facts({"libc6": ">=2.35"}),
        "busybox 1.36.0": facts({"glibc-runtime": "*"}),
        "glibc-runtime 2.36.0": facts(provides={"libc6": "2.36.0"}, replaces_whole=["libc6"]),
        "libc6 2.36.0": facts(),
    }
    assert names(chosen({"bash": "*"}, library)) == ["libc6 2.36.0", "bash 5.2.0"]
    both = chosen({"bash": "*", "busybox": "*"}, library)
    assert names(both) == ["glibc-runtime 2.36.0", "bash 5.2.0", "busybox 1.36.0"]
    assert both[1].dependencies == ("glibc-runtime",)
    assert "glibc-runtime 2.36.0 stands for libc6" in sentence({"libc6": "*", "glibc-runtime": "*"}, library)


def test_a_star_of_another_galaxy_does_not_answer_for_a_name_that_is_listed() -> None:
    library = galaxies(
        ("debs", {"bash 5.2.0": facts({"libc6": ">=3"}), "libc6 2.36.0": facts()}),
        ("core", {"evil 1.0.0": facts(provides={"libc6": "9.0.0"})}),
    )
    text = sentence({"bash": "*", "evil": "*"}, library)
    assert text == "no solution: bash 5.2.0 wants libc6 >=3, but galaxy debs has only 2.36.0"


def test_what_is_provided_without_a_version_answers_only_who_takes_any() -> None:
    library = {"exim 4.0.0": facts(provides={"mta": "-"}), "a 1.0.0": facts(["mta"]), "b 1.0.0": facts(["mta ^1"])}
    assert names(chosen({"a": "*"}, library)) == ["exim 4.0.0", "a 1.0.0"]
    assert "b 1.0.0 wants mta ^1" in sentence({"b": "*"}, library)


def test_each_of_several_conflicts_with_one_name_bars() -> None:
    library = {
        "a 1.0.0": facts(conflicts=["b <1", "b >=3"]),
        "b 0.9.0": facts(),
        "b 2.0.0": facts(),
        "b 3.0.0": facts(),
    }
    assert names(chosen({"a": "*", "b": "*"}, library)) == ["a 1.0.0", "b 2.0.0"]


def test_a_wish_for_a_name_that_is_listed_is_answered_by_that_star_alone() -> None:
    library = {"mta 1.0.0": facts(arch="aarch64"), "exim 1.0.0": facts(provides={"mta": "1.0.0"})}
    assert "for aarch64 only" in sentence({"mta": "*", "exim": "*"}, library)


# What it costs: counted, not timed.


def test_the_facts_of_a_star_are_asked_for_once() -> None:
    offered = MemoryLibrary(
        {"a 1.0.0": facts({"b": "^1"}), "c 1.0.0": facts({"b": "^2"}), "b 1.0.0": facts(), "b 2.0.0": facts()}
    )
    with pytest.raises(NoSolution):
        chosen({"a": "*", "c": "*"}, offered)
    assert len(offered.asked) == len(set(offered.asked))


def test_thousands_of_stars_whose_newest_version_cannot_be_had_are_tried_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = {
        **{f"a{number} 2.0.0": facts({f"m{number}": "*"}) for number in range(300)},
        **{f"a{number} 1.0.0": facts() for number in range(300)},
        **{f"m{number} {major}.0.0": facts({"lib": "^2"}) for number in range(300) for major in (1, 2)},
        **{f"z {major}.0.0": facts({"lib": "^1"}) for major in (1, 2)},
        **{f"lib {version}": facts() for version in ("1.0.0", "1.1.0", "2.0.0", "2.1.0")},
    }
    monkeypatch.setattr("cosmos.resolve.choosing.MAX_STEPS", 3_000)  # trying again from the start would take 45,000
    found = chosen({**{f"a{number}": "*" for number in range(300)}, "z": "*"}, library)
    assert {str(row.star) for row in found} == {*(f"a{number} 1.0.0" for number in range(300)), "z 2.0.0", "lib 1.1.0"}


def test_a_search_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosmos.resolve.choosing.MAX_STEPS", 1)
    with pytest.raises(NoSolution, match="no solution was found in 1 steps"):
        chosen({"a": "*"}, {"a 1.0.0": facts({"b": "*"}), "b 1.0.0": facts(), "b 2.0.0": facts()})


def test_a_star_that_is_to_be_upgraded_takes_along_what_has_to_move_with_it_and_nothing_else() -> None:
    offered = MemoryLibrary(
        {
            "app 1.0.0": facts({"lib": ">=1"}),
            "app 2.0.0": facts({"lib": ">=2"}),
            "lib 1.0.0": facts(),
            "lib 2.0.0": facts(),
            "other 1.0.0": facts(),
            "other 2.0.0": facts(),
        }
    )
    wishes = [Wish(who="image", name=StarName(name), constraint=Constraint.parse("*")) for name in ("app", "other")]
    kept = {StarName("lib"): Version.parse("1.0.0"), StarName("other"): Version.parse("1.0.0")}
    found = resolve(wishes, offered, Arch("x86_64"), kept, upgraded={StarName("app")})
    assert [str(row.star) for row in found] == ["lib 2.0.0", "app 2.0.0", "other 1.0.0"]
    stays = resolve(wishes, offered, Arch("x86_64"), {**kept, StarName("app"): Version.parse("1.0.0")})
    assert [str(row.star) for row in stays] == ["lib 1.0.0", "app 1.0.0", "other 1.0.0"]


# Chains.


CHAIN = [f"s{number:04}" for number in range(5_000)]


def chain(last: Facts) -> dict[str, Facts]:
    """Return stars that each depend on the next, the last of them with facts of its own."""
    found = {f"{name} 1.0.0": facts([needed]) for name, needed in pairwise(CHAIN)}
    return {**found, f"{CHAIN[-1]} 1.0.0": last}


def test_a_chain_of_thousands_is_resolved_in_its_order() -> None:
    found = chosen({CHAIN[0]: "*"}, chain(facts()))
    assert [str(row.star.name) for row in found] == CHAIN[::-1]


def test_a_circle_of_thousands_is_resolved() -> None:
    found = chosen({CHAIN[0]: "*"}, chain(facts([CHAIN[0]])))
    assert sorted(str(row.star.name) for row in found) == CHAIN


def test_what_the_end_of_a_chain_of_thousands_lacks_is_named() -> None:
    assert f"{CHAIN[-1]} 1.0.0 wants nowhere, which no galaxy has" in sentence(
        {CHAIN[0]: "*"}, chain(facts(["nowhere"]))
    )


def test_a_star_that_bars_the_end_of_a_chain_of_thousands_is_named() -> None:
    library = {**chain(facts()), "other 1.0.0": facts(conflicts=[f"{CHAIN[-1]} *"])}
    assert f"other 1.0.0 conflicts with {CHAIN[-1]}" in sentence({CHAIN[0]: "*", "other": "*"}, library)


def test_a_chain_of_thousands_in_a_lock_is_judged() -> None:
    library = chain(facts())
    placed = [
        Placed(
            name=row.star.name,
            version=row.star.version,
            arch=row.star.arch,
            galaxy=row.star.galaxy,
            facts=library[str(row.star)],
            dependencies=row.dependencies,
            wanted_by=row.wanted_by,
        )
        for row in chosen({CHAIN[0]: "*"}, library)
    ]
    assert list(faults(wished({CHAIN[0]: "*"}), placed, MACHINE)) == []
    assert list(faults(wished({CHAIN[0]: "*"}), placed[::-1], MACHINE)) != []
