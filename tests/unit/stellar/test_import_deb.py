"""Whole packages become stars; what is lost on the way is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import Malformed, NoSolution
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.star import Star
from cosmos.pack.deb import read_deb
from cosmos.pack.star_archive import read_star
from cosmos.stellar.add_star import Unpublished
from cosmos.stellar.debian_closure import circles, debian_closure, wishes, without_circles
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement
from cosmos.stellar.import_deb import Imported, Order, Reach, import_debs
from cosmos.tree.manifest import ManifestLine, manifest
from fakes.debs import FakeArchive
from fakes.reporters import Remembering

COPYRIGHT = b"Format: x\n\nFiles: *\nLicense: ISC\n"


def imported(
    archive: FakeArchive,
    galaxy: GalaxyFolder,
    *packages: str,
    reach: Reach = "closure",
    keys: tuple[SecretKey, ...] = (),
    unpublished: Unpublished = "refuse",
) -> Imported:
    order = Order(packages=packages, architecture="amd64", reach=reach, level=3, workers=2, unpublished=unpublished)
    return import_debs(order, archive, galaxy, keys, Remembering())


def stars(done: Imported) -> dict[str, Star]:
    return {str(one.star.name): one.star for one in done.stars}


def test_a_package_keeps_every_path_and_says_where_it_came_from(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    files = {"bin": None, "bin/x": b"x", "etc/x.conf": b"c", "usr/share/doc/x/copyright": COPYRIGHT, "l": "bin/x"}
    record = archive.add("x", files, version="1:2.3-4", scripts=("postinst", "prerm"), provides="virtual-x (= 7)")
    done = imported(archive, galaxy, "x")
    (one,) = done.stars
    star = one.star
    assert (str(star.version), star.license, star.arch) == ("2.3.0+e1.DEB.4", "ISC", "x86_64")
    assert {str(name): str(version) for name, version in star.provides.items()} == {"virtual-x": "7.0.0"}
    assert (star.origins[0].version, star.origins[0].digest) == ("1:2.3-4", record.digest)
    assert one.unrun == ("postinst", "prerm")
    statement = read_statement(galaxy.statement_file(galaxy.stem_of(star.name, star.version, star.arch)))
    contents = read_star(one.archive.read_bytes(), one.archive.name, statement.unpacked_bytes, script_name="")
    package = read_deb(archive.debs["x"], "x.deb")
    shipped, wanted = (
        manifest(ManifestLine.of(entry) for entry in entries) for entries in (contents.files.values(), package.entries)
    )
    assert shipped == wanted
    assert contents.script is None


def test_dependencies_become_constraints_that_allow_what_was_chosen(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    depends = "libc6 (>= 2.36), same (= 1.0-1), early (>= 4.0~rc1), any-of | same, two (>= 1), two (<< 3), virtual"
    archive.add("x", pre_depends="dpkg (>= 1.0)", depends=depends)
    archive.add("libc6", version="2.36-9+deb12u14")
    archive.add("same")
    archive.add("early", version="4.0~rc2-1")
    archive.add("two", version="2.1-1")
    archive.add("dpkg", version="1.21")
    archive.add("provider", provides="virtual", version="1.0~beta1-1")
    done = imported(archive, galaxy, "x")
    made = stars(done)
    limits = {str(name): limit.text for name, limit in made["x"].dependencies.items()}
    assert limits == {
        "dpkg": ">=1.0.0",
        "early": ">=4.0.0-rc.1",
        "libc6": ">=2.36.0",
        "provider": ">=1.0.0-beta.1",
        "same": "=1.0.0+DEB.1",
        "two": ">=1.0.0, <3.0.0",
    }
    assert all(limit.allows(made[str(name)].version) for name, limit in made["x"].dependencies.items())
    assert done.missing == ()


def test_an_epoch_that_rose_while_the_version_fell_does_not_shut_out_what_was_chosen(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="y (>= 5.0)")
    archive.add("y", version="1:2.0-1")
    made = stars(imported(archive, galaxy, "x"))
    assert made["x"].dependencies["y"].text == ">=2.0.0"


def test_conflicts_are_kept_and_never_wider_than_debian_s(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("x", conflicts="x (<< 1), rival, old (<< 2.0-5)", breaks="other (<= 3)", provides="rival")
    conflicts = stars(imported(archive, galaxy, "x"))["x"].conflicts
    assert {str(name): limit.text for name, limit in conflicts.items()} == {
        "rival": "*",
        "old": "<2.0.0",
        "other": "<3.0.0",
    }


def test_the_first_alternative_that_will_do_is_taken_unless_another_was_asked_for(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="gone | too-old (>= 9) | good | better")
    for name in ("too-old", "good", "better"):
        archive.add(name)
    assert list(stars(imported(archive, galaxy, "x"))["x"].dependencies) == ["good"]
    done = imported(archive, galaxy, "x", "better", unpublished="replace")
    assert list(stars(done)["x"].dependencies) == ["better"]


def test_of_several_providers_the_most_important_one_is_taken(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("x", depends="awk")
    archive.add("gawk", provides="awk", priority="optional")
    archive.add("mawk", provides="awk", priority="required")
    assert list(stars(imported(archive, galaxy, "x"))["x"].dependencies) == ["mawk"]


def test_a_circle_is_cut_where_most_of_it_needs_least_and_is_reported(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("libc6", depends="libgcc-s1, libcrypt1")
    archive.add("libgcc-s1", depends="libc6, gcc-base")
    archive.add("libcrypt1", depends="libc6")
    archive.add("gcc-base", architecture="all")
    done = imported(archive, galaxy, "libgcc-s1")
    made = stars(done)
    assert done.cut == (("libc6", "libcrypt1"), ("libc6", "libgcc-s1"))
    assert list(made["libc6"].dependencies) == []
    assert list(made["libgcc-s1"].dependencies) == ["gcc-base", "libc6"]


def test_where_a_circle_is_cut_does_not_depend_on_what_else_is_imported(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("a", depends="b")
    archive.add("b", depends="a")
    for number in range(5):
        archive.add(f"user{number}", depends="b")
    alone = debian_closure(archive, wishes(["a"]), "amd64", Remembering())
    among = debian_closure(archive, wishes(["a", *(f"user{number}" for number in range(5))]), "amd64", Remembering())
    assert alone.cut == among.cut == (("a", "b"),)


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef")), min_size=1))
def test_no_circle_is_left_and_nothing_outside_of_one_is_cut(graph: dict[str, set[str]]) -> None:
    needs = {name: dict.fromkeys(sorted(graph.get(name, set()) - {name}), ()) for name in "abcdef"}
    left, cut = without_circles(needs)
    assert circles({name: list(below) for name, below in left.items()}) == []
    components = circles({name: list(below) for name, below in needs.items()})
    assert all(any({one, other} <= component for component in components) for one, other in cut)
    kept = {(name, other) for name, below in left.items() for other in below}
    assert kept | set(cut) == {(name, other) for name, below in needs.items() for other in below}


def test_without_the_closure_only_what_was_asked_for_is_imported_and_the_rest_is_named(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="y")
    archive.add("y")
    done = imported(archive, galaxy, "x", reach="as asked")
    assert (list(stars(done)), done.missing) == (["x"], ("y",))


def test_what_debian_has_no_package_for_is_reported(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("x", depends="nowhere | neither, y (>= 9)")
    archive.add("y")
    assert imported(archive, galaxy, "x").unmet == {"x": ("nowhere | neither", "y (>= 9)")}


def test_a_package_that_is_not_there_is_an_error(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    with pytest.raises(NoSolution, match="nosuch: no package of that name"):
        imported(archive, galaxy, "nosuch")


def test_a_package_that_cannot_be_a_star_does_not_stop_the_others(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("bad", {"e\u0301": b"", "\u00e9": b""})
    archive.add("good", depends="bad")
    done = imported(archive, galaxy, "bad", "good")
    assert (list(stars(done)), list(done.failed), done.missing) == (["good"], ["bad"], ())
    assert "only by Unicode form" in done.failed["bad"]


def test_a_package_with_names_that_differ_by_case_alone_is_a_star_with_both(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", {"usr": None, "usr/README": b"loud", "usr/readme": b"soft"})
    (one,) = imported(archive, galaxy, "x").stars
    statement = read_statement(galaxy.statement_file(one.star.name, one.star.version))
    contents = read_star(one.archive.read_bytes(), one.archive.name, statement.unpacked_bytes, script_name="")
    assert {path: bytes(entry.content) for path, entry in contents.files.items() if entry.kind == "file"} == {
        b"usr/README": b"loud",
        b"usr/readme": b"soft",
    }


def test_a_package_is_imported_in_the_version_that_is_asked_for(
    archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = archive.add("x", version="2.0-1")
    older = replace(newest, version="1.0-1", fields={**newest.fields, "version": "1.0-1"})
    exact = {("x", "1.0-1"): older}
    monkeypatch.setattr(archive, "record", lambda name, version=None: exact[name, version])
    archive.add("y", depends="x")
    closure = debian_closure(archive, wishes(["x=1.0-1", "y"]), "amd64", Remembering())
    assert closure.records["x"].version == "1.0-1"
    assert "x" in closure.needs["y"]


def test_a_version_that_is_not_there_is_an_error(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("x")
    with pytest.raises(NoSolution, match="x: "):
        imported(archive, galaxy, "x=9.9")
    assert list(stars(imported(archive, galaxy, "x=1.0-1", reach="as asked"))) == ["x"]


@pytest.mark.parametrize("asked", [["x=1", "x=2"], ["x=1", "x"], ["x="]])
def test_a_wish_that_means_nothing_is_malformed(asked: list[str]) -> None:
    with pytest.raises(Malformed):
        wishes(asked)


def test_importing_again_makes_nothing_anew_until_something_changes(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("x", depends="y")
    archive.add("y")
    assert [one.is_new for one in imported(archive, galaxy, "x").stars] == [True, True]
    assert [one.is_new for one in imported(archive, galaxy, "x").stars] == [False, False]
    archive.add("y", version="1.0-2")
    assert [(str(one.star.name), one.is_new) for one in imported(archive, galaxy, "x").stars] == [
        ("x", False),
        ("y", True),
    ]


def test_statements_are_signed(archive: FakeArchive, galaxy: GalaxyFolder, key: Callable[..., SecretKey]) -> None:
    archive.add("x")
    imported(archive, galaxy, "x", keys=(key("author"),))
    assert (galaxy.root / "stars/x-1.0.0+DEB.1-x86_64.toml.dsse").is_file()


def test_how_many_workers_there_are_has_no_say_in_the_bytes(
    archive: FakeArchive, galaxy: GalaxyFolder, tmp_path
) -> None:
    for number in range(12):
        archive.add(f"p{number}", depends="p0" if number else "")
    names = tuple(sorted(archive.records))
    seen = []
    for workers in (1, 3):
        order = Order(packages=names, architecture="amd64", reach="as asked", level=3, workers=workers)
        done = import_debs(order, archive, galaxy, (), Remembering())
        seen.append({one.archive.name: one.archive.read_bytes() for one in done.stars})
        for file in galaxy.root.glob("*/p*"):
            file.unlink()
    assert seen[0] == seen[1]
    assert len(seen[0]) == 12
