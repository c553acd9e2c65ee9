"""The page of a release: what it says, and that it says the same of the same release."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.model.names import StarName
from cosmos.model.reporter import Silent
from cosmos.release.report.facts import Facts, Right
from cosmos.release.report.from_folder import facts_of
from cosmos.release.report.page import page
from fakes.images import APP, BASE, META, ImageFixture
from fakes.pages import ParsedPage, many

Built = Callable[..., ImageFixture]


@pytest.fixture
def facts(tmp_path: Path, built_image: Built) -> Facts:
    return facts_of(built_image(tmp_path, (BASE, APP, META)).out, None, Silent())


def test_the_page_says_what_the_release_holds_why_and_who_signed_it(facts: Facts) -> None:
    found = ParsedPage(page(facts, changes=None, beside="out"))
    assert "small 1.0.0 for x86_64" in found.text
    assert "image → everything → app → base" in found.text
    assert "the test star app" in found.text
    assert "MIT" in found.text
    assert facts.lock.stars[0].signers[0] in found.text
    assert str(facts.release.internal["contentRoot"]) in found.text
    assert "copy 1, render 1, symlink 1, write 1" in found.text
    assert found.headings[:3] == ["small 1.0.0", "Summary", "Verified how, and by whom"]
    assert {"./out/sbom.spdx.json", "./out/sbom.cdx.json", "./out/RELEASE.json"} <= set(found.links)


def test_the_page_is_one_file_without_script_and_without_anything_from_elsewhere(facts: Facts) -> None:
    data = page(facts, changes=None, beside=None)
    found = ParsedPage(data)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "use", "image"}
    assert not {name for name in found.attributes if name.startswith("on") or name in ("src", "style")}
    assert all(link.startswith("#") for link in found.links)
    assert "url(" not in found.style
    assert "@import" not in found.style
    assert b"http" not in data.replace(b"http-equiv", b"")


def test_the_page_forbids_its_reader_s_browser_all_but_its_own_style(facts: Facts) -> None:
    data = page(facts, changes=None, beside=None)
    digest = base64.b64encode(hashlib.sha256(ParsedPage(data).style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'".encode() in data


def test_the_same_release_has_the_same_page(facts: Facts, tmp_path: Path, built_image: Built) -> None:
    elsewhere = facts_of(built_image(tmp_path / "elsewhere", (BASE, APP, META)).out, None, Silent())
    data = page(facts, changes=None, beside="out")
    assert page(elsewhere, changes=None, beside="out") == data
    assert str(tmp_path).encode() not in data


@pytest.mark.parametrize("number", [1, 40, 350])
def test_a_page_of_many_stars_stays_small_and_whole(facts: Facts, number: int) -> None:
    data = page(many(facts, number), changes=None, beside="out")
    found = ParsedPage(data)
    assert len(data) < 30_000 + 2_000 * number
    assert f"star-star-number-{number - 1}" in found.ids


def test_a_graph_is_drawn_for_few_stars_and_a_tree_for_any_number(facts: Facts) -> None:
    few, numerous = (page(many(facts, number), changes=None, beside=None) for number in (20, 41))
    assert b'class="graph"' in few
    assert b'class="graph"' not in numerous
    assert b'class="tree"' in few
    assert b'class="tree"' in numerous


def test_what_is_too_much_for_a_page_is_counted(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("_MOST_ROWS", 30), ("_MOST_BRANCHES", 50), ("_MOST_EXPLAINED", 10), ("_MOST_RIGHTS", 2)):
        monkeypatch.setattr(f"cosmos.release.report.page.{name}", most)
    rights = tuple(Right(path=f"dev/{n}", layer="template", what="char device 1:3, 0666 0:0") for n in range(5))
    found = ParsedPage(page(replace(many(facts, 41), rights=rights), changes=None, beside=None))
    assert len([one for one in found.ids if one.startswith("star-")]) == 30
    assert "and 11 more stars" in found.text
    assert "The tree goes on" in found.text
    assert "and 3 more paths" in found.text
    assert "more: cosmos why RELEASE star-number-0" in found.text


def test_who_signed_the_release_is_said_only_after_the_signature_was_checked(facts: Facts) -> None:
    assert "The signature was not checked" in ParsedPage(page(facts, changes=None, beside=None)).text


def test_policies_waivers_and_rights_are_named(facts: Facts) -> None:
    policy = {
        "powers": {"setuid": ["app"], "run": ["base"]},
        "waive": {"dangling-symlink": {"reason": "on the data partition", "until": 7, "paths": ["var/**"]}},
    }
    release = replace(facts.release, external={**facts.release.external, "policy": policy, "secrets": ["key"]})
    right = Right(path="usr/bin/app", layer="app-2.0.0", what="mode 4755, runs with the rights of 0:0")
    text = ParsedPage(page(replace(facts, release=release, rights=(right,)), changes=None, beside=None)).text
    assert "on the data partition; until release 7; for var/**" in text
    assert "May: setuid" in text
    assert "mode 4755, runs with the rights of 0:0" in text
    assert "only who has them can build the same image again" in text


def test_a_lock_whose_stars_need_each_other_or_none_that_is_there_has_a_page(facts: Facts) -> None:
    first, *others = facts.lock.stars
    circle = replace(first, dependencies=(facts.lock.stars[-1].name, StarName("absent")))
    ParsedPage(page(replace(facts, lock=replace(facts.lock, stars=(circle, *others))), changes=None, beside=None))
