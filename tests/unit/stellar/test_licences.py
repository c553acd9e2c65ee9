"""A licence is an SPDX expression of ids that SPDX lists, or of references; without the list its form is judged."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.debian import copyright as debian_copyright
from cosmos.stellar import licences
from cosmos.stellar.licences import is_well_formed, unlisted_ids
from cosmos.stellar.validate_star import validate_star

GOOD = (
    "MIT",
    "GPL-2.0-only AND LGPL-2.0-only",
    "GPL-3.0-or-later WITH GCC-exception-3.1",
    "LGPL-2.1-or-later AND Zlib AND GPL-3.0-or-later WITH GCC-exception-3.1",
    "(MIT OR ISC) AND Zlib",
    "LicenseRef-debian-libstdc--6 AND MIT",
)


@pytest.fixture
def listless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program without the library, as the single-file binary is."""
    monkeypatch.setitem(sys.modules, "license_expression", None)
    licences._spdx_list.cache_clear()
    yield
    licences._spdx_list.cache_clear()


@pytest.mark.parametrize("licence", GOOD)
def test_what_spdx_knows_has_nothing_against_it(licence: str) -> None:
    assert is_well_formed(licence)
    assert unlisted_ids(licence) == ()


@pytest.mark.parametrize(
    "licence",
    [
        "",
        "some licence",
        "MIT and ISC",
        "((MIT",
        "MIT OR ISC)",
        "MIT OR",
        "MIT OR OR ISC",
        "MIT WITH ISC",
        "OR",
        "MIT/X11",
    ],
)
def test_what_is_no_expression_is_not_well_formed(licence: str) -> None:
    assert not is_well_formed(licence)


def test_ids_that_spdx_does_not_list_are_named() -> None:
    assert unlisted_ids("GPL-2 AND (MIT OR GPLv3) AND LicenseRef-mine") == ("GPL-2", "GPLv3")


@pytest.mark.usefixtures("listless")
def test_without_the_list_the_form_alone_is_judged() -> None:
    assert is_well_formed("GPL-2 AND MIT")
    assert unlisted_ids("GPL-2 AND MIT") == ()
    assert not is_well_formed("some licence")


def test_validation_warns_of_an_id_and_refuses_a_form(tmp_path: Path) -> None:
    (tmp_path / "x/files").mkdir(parents=True)
    (tmp_path / "x/files/a").touch()
    for licence, rows in (
        ("GPL-2", ["warning: star.toml: license: SPDX does not list GPL-2; "]),
        ("(MIT", ["error: star.toml: license: want an SPDX expression such as"]),
        ("LicenseRef-GPL-2", []),
    ):
        text = f'name = "x"\nversion = "1.0.0"\ndescription = "x"\nlicense = "{licence}"\n'
        (tmp_path / "x/star.toml").write_text(text)
        said = [f"{one.weight}: {one.problem}" for one in validate_star(tmp_path / "x")]
        assert len(said) == len(rows)
        assert all(found.startswith(row) for found, row in zip(said, rows, strict=True))


def test_every_id_that_debian_s_short_names_become_is_listed() -> None:
    ids = {*debian_copyright._SHORT_NAMES.values(), *debian_copyright._COMMON_NAMES.values()}
    ids |= {name for name in debian_copyright._AS_THEY_ARE.pattern.replace("\\", "").split("|") if "[" not in name}
    ids |= {
        debian_copyright.spdx_id(f"{kind}GPL-{version}{later}")
        for kind, versions in debian_copyright._GNU_VERSIONS.items()
        for version in versions
        for later in ("", "+")
    }
    assert {one for one in ids if unlisted_ids(one)} == set()
    for exception in debian_copyright._EXCEPTIONS.values():
        assert unlisted_ids(f"GPL-2.0-only WITH {exception}") == ()


def test_the_licences_of_our_own_stars_are_listed(repo: Path) -> None:
    for file in sorted((repo / "stars").glob("*/star.toml")):
        licence = tomllib.loads(file.read_text())["license"]
        assert is_well_formed(licence), file
        assert unlisted_ids(licence) == (), file
