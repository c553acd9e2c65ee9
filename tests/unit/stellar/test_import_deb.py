"""Whole packages become stars, each as its own control data says; what is lacking is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.debian.apt import AptRecord
from cosmos.debian.closure import debian_closure, wishes
from cosmos.debian.deb import read_deb
from cosmos.debian.deb822 import paragraph
from cosmos.errors import Malformed, NoSolution
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.demand import need_text
from cosmos.model.names import GalaxyName
from cosmos.model.star import Star
from cosmos.model.version import DebianVersion
from cosmos.pack.star_archive import read_star
from cosmos.stellar.add_star import Unpublished, add_star
from cosmos.stellar.build_star import Workshop, build_star
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.import_deb import Essential, Imported, Order, Reach, import_debs
from cosmos.tree.manifest import ManifestLine, manifest
from fakes.debs import FakeArchive, control_text
from fakes.reporters import Remembering

COPYRIGHT = b"Format: x\n\nFiles: *\nLicense: ISC\n"


def imported(
    archive: FakeArchive,
    galaxy: GalaxyFolder,
    *packages: str,
    reach: Reach = "closure",
    essential: Essential = "assumed",
    keys: tuple[SecretKey, ...] = (),
    unpublished: Unpublished = "refuse",
) -> Imported:
    order = Order(
        packages=packages,
        architecture="amd64",
        reach=reach,
        level=3,
        workers=2,
        unpublished=unpublished,
        essential=essential,
    )
    return import_debs(order, archive, galaxy, keys, Remembering())


def stars(done: Imported) -> dict[str, Star]:
    return {str(one.star.name): one.star for one in done.stars}


def test_a_package_keeps_every_path_and_says_where_it_came_from(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    files = {"bin": None, "bin/x": b"x", "etc/x.conf": b"c", "usr/share/doc/x/copyright": COPYRIGHT, "l": "bin/x"}
    record = archive.add("x", files, version="1:2.3-4", scripts=("postinst", "prerm"), provides="virtual-x (= 7)")
    done = imported(archive, galaxy, "x")
    (one,) = done.stars
    star = one.star
    assert (star.version, star.license, star.arch) == (DebianVersion.of("1:2.3-4"), "ISC", "x86_64")
    assert star.provides == {"virtual-x": (DebianVersion.of("7"),)}
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


def test_a_star_depends_on_what_its_package_says_whatever_else_is_imported(
    archive: FakeArchive, galaxy: GalaxyFolder, tmp_path: Path
) -> None:
    archive.add("mailer", depends="mta-a | mta-b (>= 2), virtual")
    archive.add("mta-a")
    archive.add("mta-b", version="2.0-1")
    archive.add("provider", provides="virtual")
    alone = stars(imported(archive, galaxy, "mailer"))
    other = init_galaxy(tmp_path / "other", GalaxyName("core"), "for tests", "2026.01.02")
    among = stars(imported(archive, other, "mta-b", "mailer", "provider"))
    assert (sorted(alone), sorted(among)) == (["mailer", "mta-a", "provider"], ["mailer", "mta-b", "provider"])
    assert alone["mailer"] == among["mailer"]
    assert list(map(need_text, among["mailer"].needs)) == ["virtual", "mta-a | mta-b >=2"]
    again = imported(archive, galaxy, "mta-b", "mailer")
    assert {str(one.star.name): one.is_new for one in again.stars} == {
        "mailer": False,
        "mta-b": True,
        "provider": False,
    }


def test_the_first_alternative_that_will_do_is_imported_unless_another_was_asked_for(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="gone | too-old (>= 9) | good | better")
    for name in ("too-old", "good", "better"):
        archive.add(name)
    assert sorted(stars(imported(archive, galaxy, "x"))) == ["good", "x"]
    assert sorted(stars(imported(archive, galaxy, "x", "better"))) == ["better", "x"]


def test_of_several_providers_the_most_important_one_is_imported(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("x", depends="awk")
    archive.add("gawk", provides="awk", priority="optional")
    archive.add("mawk", provides="awk", priority="required")
    assert sorted(stars(imported(archive, galaxy, "x"))) == ["mawk", "x"]


def test_a_provider_is_imported_where_the_package_of_that_name_is_too_old(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="lib (>= 2)")
    archive.add("lib", version="1.0-1")
    archive.add("lib-unversioned", provides="lib")
    archive.add("new", provides="lib (= 2.1)")
    assert sorted(stars(imported(archive, galaxy, "x"))) == ["new", "x"]


def test_a_circle_is_imported_whole_and_no_star_of_it_loses_a_dependency(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("libc6", depends="libgcc-s1, libcrypt1")
    archive.add("libgcc-s1", depends="libc6, gcc-base (= 1.0-1)")
    archive.add("libcrypt1", depends="libc6")
    archive.add("gcc-base", architecture="all")
    made = stars(imported(archive, galaxy, "libgcc-s1"))
    assert {name: sorted(star.dependencies) for name, star in made.items()} == {
        "gcc-base": [],
        "libc6": ["libcrypt1", "libgcc-s1"],
        "libcrypt1": ["libc6"],
        "libgcc-s1": ["gcc-base", "libc6"],
    }


def test_a_package_that_its_library_needs_in_turn_brings_the_library(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    """Issue 9: dmsetup of bookworm was imported without its library's being needed."""
    version = "2:1.02.185-2"
    archive.add("dmsetup", version=version, depends="libdevmapper1.02.1 (>= 2:1.02.185)")
    archive.add("libdevmapper1.02.1", version=version, depends="dmsetup (>= 2:1.02.185-2~)")
    made = stars(imported(archive, galaxy, "dmsetup"))
    assert {name: [*map(need_text, star.needs)] for name, star in made.items()} == {
        "dmsetup": ["libdevmapper1.02.1 >=2:1.02.185"],
        "libdevmapper1.02.1": ["dmsetup >=2:1.02.185-2~"],
    }


def test_without_the_closure_only_what_was_asked_for_is_imported_and_the_rest_is_named(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="y")
    archive.add("y")
    done = imported(archive, galaxy, "x", reach="as asked")
    assert (list(stars(done)), done.missing) == (["x"], ("y",))


def test_a_need_that_an_alternative_or_a_provider_answers_is_not_missing(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("x", depends="gone | there, virtual, lib (>= 2), old (>= 2), a (>= 3) | b")
    archive.add("there")
    archive.add("provider", provides="virtual")
    archive.add("made", provides="lib (= 2.0)")
    archive.add("old", version="1.0-1")
    imported(archive, galaxy, "there", "provider", "made", "old", reach="as asked")
    assert imported(archive, galaxy, "x", reach="as asked").missing == ("a | b", "old")


def test_a_star_that_was_made_of_the_package_answers_for_it(
    archive: FakeArchive, galaxy: GalaxyFolder, workshop: Workshop, make_folder: Callable[..., Path]
) -> None:
    archive.add("libc6", version="2.36-9+deb12u14")
    archive.add("htop", depends="libc6 (>= 2.34)")
    archive.add("newer", depends="libc6 (>= 2.37)")
    runtime = build_star(make_folder('name = "glibc-runtime"\nsource = "deb:libc6"\n', name="glibc"), workshop)
    assert runtime.manifest.version == DebianVersion.of("2.36-9+deb12u14")
    add_star(galaxy, runtime, ())
    done = imported(archive, galaxy, "htop", "newer", reach="as asked")
    assert list(map(need_text, stars(done)["htop"].needs)) == ["libc6 >=2.34"]
    assert done.missing == ("libc6",)  # newer's alone
    assert imported(archive, galaxy, "htop", reach="as asked").missing == ()


# --- essential packages -----------------------------------------------------------------------------------------------


def a_small_debian(archive: FakeArchive) -> None:
    archive.add("base-files", version="12.4+deb12u12", essential="yes", pre_depends="awk")
    archive.add("bash", essential="yes", depends="base-files (>= 2.1.12)")
    archive.add("mawk", provides="awk", priority="required")
    archive.add("gawk", provides="awk")
    archive.add("cron", depends="libc6")
    archive.add("libc6")


def test_what_debian_assumes_is_said_and_not_imported(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    a_small_debian(archive)
    done = imported(archive, galaxy, "cron")
    assert (sorted(stars(done)), done.assumed) == (["cron", "libc6"], ("base-files", "bash"))
    assert imported(archive, galaxy, "cron", "bash").assumed == ()
    assert imported(archive, galaxy, "cron").assumed == ()  # they are in the galaxy now


@pytest.mark.parametrize(("reach", "besides"), [("as asked", []), ("closure", ["libc6"])])
def test_essential_packages_are_imported_with_what_they_need_and_have_one_name(
    archive: FakeArchive, galaxy: GalaxyFolder, reach: Reach, besides: list[str]
) -> None:
    a_small_debian(archive)
    done = imported(archive, galaxy, "cron", reach=reach, essential="imported")
    made = stars(done)
    assert sorted(made) == sorted(["base-files", "bash", "cron", "debian-essential", "mawk", *besides])
    nebula = made["debian-essential"]
    assert (nebula.type, nebula.version, nebula.arch) == ("nebula", DebianVersion.of("12.4+deb12u12"), "any")
    assert {name: limit.text for name, limit in nebula.dependencies.items()} == {"base-files": "*", "bash": "*"}
    assert (done.assumed, done.missing) == ((), () if besides else ("libc6",))
    again = imported(archive, galaxy, "cron", reach=reach, essential="imported")
    assert [one.is_new for one in again.stars] == [False] * len(made)


def test_an_archive_without_essential_packages_is_said_to_have_none(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("cron")
    with pytest.raises(NoSolution, match="--with-essential: the host's sources have no essential package base-files"):
        imported(archive, galaxy, "cron", essential="imported")


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
    statement = read_statement(galaxy.statement_file(galaxy.stem_of(one.star.name, one.star.version, one.star.arch)))
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
    assert closure.needs["y"] == {"x"}


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
    assert (galaxy.root / "stars/x-1.0-1-x86_64.toml.dsse").is_file()


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


@pytest.mark.slow
def test_a_chain_of_a_thousand_packages_is_followed_to_its_end() -> None:
    archive, names = FakeArchive(), [f"p{number:04}" for number in range(1_200)]
    for at, name in enumerate(names):
        text = control_text(name, **({"depends": names[at + 1]} if at + 1 < len(names) else {}))
        archive.records[name] = AptRecord.of({**paragraph(text, name), "size": "1", "sha256": "0" * 64})
    closure = debian_closure(archive, wishes(names[:1]), "amd64", Remembering())
    assert sorted(closure.records) == names
    assert closure.reached_from(names[:1]) == set(names)
