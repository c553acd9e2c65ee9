"""Validation says everything that is wrong at once, and a star that is good has nothing against it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.nova.run import syntax_problem
from cosmos.pack.star_archive import write_star
from cosmos.stellar.build_star import Workshop, build_star
from cosmos.stellar.new_star import new_star
from cosmos.stellar.validate_star import validate_star
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

Make = Callable[..., Path]
GOOD = Star(name=StarName("hello"), version=Version.parse("1.0.0"), license="MIT", description="x")


def said(path: Path) -> list[str]:
    return [f"{one.weight}: {one.problem}" for one in validate_star(path)]


def test_a_new_star_is_good_and_builds_as_it_is(tmp_path: Path, workshop: Workshop) -> None:
    made = new_star(tmp_path / "hello", StarName("hello"), deb=None, description="says hello", licence="MIT")
    assert [str(file.relative_to(tmp_path)) for file in made] == [
        "hello/star.toml",
        "hello/install.lua",
        "hello/files/usr/share/doc/hello/README",
    ]
    assert said(tmp_path / "hello") == []
    built = build_star(tmp_path / "hello", workshop)
    assert said(built.write(tmp_path)) == []


def test_a_new_star_of_a_package_names_it(tmp_path: Path) -> None:
    new_star(tmp_path / "hello", StarName("hello"), deb="hello", description="", licence="")
    assert 'source = "deb:hello"' in (tmp_path / "hello/star.toml").read_text()
    assert said(tmp_path / "hello") == []


def test_a_folder_that_holds_something_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/x").touch()
    with pytest.raises(Malformed, match="is not empty"):
        new_star(tmp_path / "hello", StarName("hello"), deb=None, description="", licence="")
    with pytest.raises(Malformed, match="--deb: want deb:NAME"):
        new_star(tmp_path / "other", StarName("other"), deb="No/Name", description="", licence="")


def test_everything_wrong_with_a_folder_is_said_at_once(make_folder: Make) -> None:
    recipe = (
        'name = "goodbye"\nversion = "1.0.0"\nlicense = "some licence?"\ninstall_script = "install.lua"\n'
        'source = "ftp://x"\n[unpack]\nonly = ["a\\\\b"]\n[dependencies]\ngoodbye = "*"\n'
    )
    folder = make_folder(recipe, {"install.lua": "function install(\n", "files/e\u0301": "", "files/\u00e9": ""})
    rows = said(folder)
    assert len(rows) == 7, rows
    for part in (
        "source[0]: want deb:NAME",
        "unpack.only[0]",
        "license: want an SPDX expression",
        "depends on itself",
        "install.lua:",
        "only by Unicode form",
        "warning: star.toml: name is goodbye, but the folder is called hello",
    ):
        assert any(part in row for row in rows), (part, rows)


def test_every_fault_of_a_recipe_is_said_at_once_and_at_its_own_place(make_folder: Make) -> None:
    recipe = (
        'name = "he!"\nversion = "1.x"\ntype = "frob"\narch = "arm64"\nlicence = "MIT"\nauthors = ["a", 3, "b", 4]\n'
        'any-of = ["^", "a | b", "!!"]\nprovides = { "b!" = "1.0.0", c = ["1", "1.0.0", 2] }\n'
        'install_script = "none.lua"\n[dependencies]\ngood = "1"\nzlib = "^^1"\n"x.y" = "="\n[unpack]\nexlude = []\n'
    )
    rows = said(make_folder(recipe, {"files/a": ""}))
    wanted = (
        "name: want letters",
        "version: want MAJOR",
        "type: want one of",
        "arch: want GNU's name of the machine, aarch64",
        "licence: unknown key (did you mean license?)",
        "authors[1]: want a string",
        "authors[3]: want a string",
        "any-of[0]: want NAME",
        "any-of[2]: want NAME",
        "provides.b!: want letters",
        "provides.c[0]: want MAJOR",
        "provides.c[2]: want a string",
        "dependencies.zlib: want a constraint",
        "dependencies.x.y: want a constraint",
        "unpack.exlude: unknown key (did you mean exclude?)",
        "none.lua: is not there",
    )
    for part in wanted:
        assert sum(part in row for row in rows) == 1, (part, rows)
    assert sum(row.startswith("error: ") for row in rows) == len(wanted) + 1, rows  # and it has no license


def test_faults_of_the_files_hide_neither_each_other_nor_those_of_the_script_and_the_globs(make_folder: Make) -> None:
    recipe = (
        'name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\ninstall_script = "install.lua"\n'
        'source = ["what:x", "tar:a.tar"]\n'
        '[unpack]\nonly = ["ok/**", "../a"]\nexclude = ["../x"]\nrename = { "a/../b" = "c", "d" = "../e" }\n'
    )
    folder = make_folder(recipe, {"files/a": "", "files/b/c": "", "install.lua": "function install(\n"})
    for name in ("files/pipe", "files/b/other"):
        os.mkfifo(folder / name)
    (folder / "files/a").chmod(0o4755)
    rows = said(folder)
    for part in (
        "files/a: is set-user-ID",
        "files/pipe: is not a file, folder or symlink",
        "files/b/other: is not a file, folder or symlink",
        "source[0]: want ",
        "unpack.only[1]: ",
        "unpack.exclude[0]: ",
        "'a/../b'",
        "'../e'",
        "install.lua:",
    ):
        assert sum(part in row for row in rows) == 1, (part, rows)
    assert said(folder) == rows


def test_a_folder_of_a_thousand_pipes_says_some_of_them(make_folder: Make) -> None:
    folder = make_folder('name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\n', {"files/a": ""})
    for number in range(1000):
        os.mkfifo(folder / f"files/{number:04}")
    assert 40 < sum("is not a file, folder" in row for row in said(folder)) < 60


def test_every_fault_of_an_archive_s_manifest_is_said_at_once(tmp_path: Path) -> None:
    wrong = (
        b'name = "hello"\nversion = "x"\nlicense = 1\n[checksums]\na = "zz"\n[[origin]]\necosystem = "deb"\nname = 3\n'
    )
    path = tmp_path / "hello-1.0.0.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as made:
        member = tarfile.TarInfo("star.toml")
        member.size = len(wrong)
        made.addfile(member, io.BytesIO(wrong))
    rows = said(path)
    for part in (
        "version: want MAJOR",
        "license: want a string",
        "checksums.a: want 64",
        "origin[0].name: want a string",
    ):
        assert any(part in row for row in rows), (part, rows)


@pytest.mark.parametrize(
    ("recipe", "files", "part"),
    [
        ("name = 1\n", {}, "name: want a string"),
        ('name = "hello"\nversion = "1.0.0"\n', {"files/x": ""}, "error: star.toml: has no license"),
        ('name = "hello"\nversion = "1"\nlicense = "MIT"\n', {}, "version: want MAJOR.MINOR.PATCH"),
        ('name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\n', {}, "warning: it ships nothing"),
        (
            'name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\ninstall_script = "i.lua"\n',
            {"i.lua": "function build() end"},
            "i.lua: defines no install()",
        ),
        (
            'name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\ninstall_script = "i.lua"\n',
            {"i.lua": "function install() chmod('a', 0o755) end"},
            "error: i.lua:1: malformed number near '0o' (Lua has no octal numbers",
        ),
        (
            'name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\ntype = "nebula"\n',
            {"files/x": ""},
            "a nebula has only dependencies",
        ),
    ],
)
def test_each_mistake_is_named(make_folder: Make, recipe: str, files: dict[str, str], part: str) -> None:
    rows = said(make_folder(recipe, files))
    assert any(part in row for row in rows), rows


def test_checking_a_script_runs_no_function_of_it() -> None:
    assert syntax_problem(b"function install() error('ran') end", "i.lua") is None
    assert syntax_problem(b"x = = 1", "i.lua") is not None
    shell = "i.sh: is a shell script, and cosmos runs only Nova scripts"
    assert syntax_problem(b"cp a b", "i.sh") == shell
    assert syntax_problem(b"#!/bin/sh", "setup") == "setup: is a shell script, and cosmos runs only Nova scripts"
    assert syntax_problem(b"function install() end", "setup") is None


def archive(tmp_path: Path, star: Star, name: str = "hello-1.0.0.tar.zst") -> Path:
    files = [Entry(path=TreePath(b"a"), kind="file", mode=0o644, content=b"a")]
    path = tmp_path / name
    path.write_bytes(write_star(star, None, files, level=1).data)
    return path


def test_an_archive_is_judged_by_what_it_holds(tmp_path: Path) -> None:
    right = replace(GOOD, checksums={"a": Digest.of(b"a")})
    assert said(archive(tmp_path, right)) == []
    wrong = replace(GOOD, license="", checksums={"a": Digest.of(b"b"), "gone": Digest.of(b"")})
    rows = said(archive(tmp_path, wrong, "other-1.0.0.tar.zst"))
    assert len(rows) == 4, rows
    for part in ("it is hello-1.0.0 for any, but", "has no license", "files/gone is not in", "files/a has SHA-256"):
        assert any(part in row for row in rows), (part, rows)


def test_an_archive_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x-1.0.0.tar.zst").write_bytes(b"no archive")
    assert len(said(tmp_path / "x-1.0.0.tar.zst")) == 1
    (tmp_path / "x.zip").write_bytes(b"")
    assert "want a source folder, or an archive" in said(tmp_path / "x.zip")[0]
    good = archive(tmp_path, GOOD)
    good.write_bytes(good.read_bytes()[:-5])
    assert said(good)
