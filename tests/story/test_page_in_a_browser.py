"""The page of a release in a browser: nothing on the console, and nothing that keeps anybody from reading it.

`make test-page` fetches axe-core and runs these tests. Without it, or without Chromium, they are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.model.reporter import Silent
from cosmos.release.report.changes import Changes, Row
from cosmos.release.report.course import course_of
from cosmos.release.report.facts import Facts, Right
from cosmos.release.report.from_folder import facts_of
from cosmos.release.report.page import page
from fakes.browsers import AXE, CHROMIUM, complaints, judged
from fakes.images import APP, BASE, META, ImageFixture
from fakes.pages import many

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or not AXE.is_file(), reason="needs Chromium and axe-core: make test-page"),
]
RESCUE = Path(__file__).resolve().parents[2] / "images/rescue/out/report.html"
ROW = Row(name="usr/bin/tool", place="tool", what=("2.0.0 → 2.1.0", "15,000 -> 15,001 bytes"))
CHANGES = Changes(
    against="small 1.0.0",
    summary="1 star and 1 path differ",
    stars=(ROW,),
    rights=(ROW,),
    layers=(ROW,),
    paths=(ROW,),
    all_paths=2,
    others=(ROW,),
)
STEPS = (("open 1 galaxy", 10.0), ("stage 200 stars, 199 of them from the store", 10.5), ("pack", 12.25))


@pytest.fixture
def image(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, (BASE, APP, META))


@pytest.fixture
def facts(image: ImageFixture) -> Facts:
    return facts_of(image.out, None, Silent())


def large(facts: Facts) -> bytes:
    """Return the page of a release of 200 stars with every section that a page can have."""
    stars = many(facts, 200)
    policy = {"powers": {"run": ["star-number-3"]}, "waive": {"rule": {"reason": "why", "until": 7, "paths": ["a"]}}}
    release = replace(facts.release, external={**facts.release.external, "policy": policy, "secrets": ["key"]})
    right = Right(path="usr/bin/tool", layer="template", what="mode 4755, runs with the rights of 0:0")
    course = course_of(STEPS, 13.0, {"star-number-7": "its script changed"}, stars.lock)
    return page(replace(stars, release=release, rights=(right,)), changes=CHANGES, beside="out", course=course)


def pages(image: ImageFixture, facts: Facts) -> dict[str, bytes]:
    """Return the pages by name: of a release itself, of a drawn graph, of 200 stars, and of the rescue image."""
    found = {
        "a small release": (image.out / "report.html").read_bytes(),
        "40 stars": page(many(facts, 40), changes=None, beside=None),
        "200 stars": large(facts),
    }
    return {**found, **({"rescue": RESCUE.read_bytes()} if RESCUE.is_file() else {})}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_nothing_that_keeps_anybody_from_reading_a_page(
    image: ImageFixture, facts: Facts, tmp_path: Path, scheme: str
) -> None:
    for name, data in pages(image, facts).items():
        found = judged(data, tmp_path, scheme)
        assert found.is_dark == (scheme == "dark")
        assert {"color-contrast", "document-title", "region"} <= found.passes
        assert found.violations == [], name


def test_a_browser_has_nothing_to_say_on_its_console(image: ImageFixture, facts: Facts, tmp_path: Path) -> None:
    for name, data in pages(image, facts).items():
        file = tmp_path / "opened.html"
        file.write_bytes(data)
        assert complaints(file) == [], name


def test_the_console_and_axe_core_are_asked_in_earnest(image: ImageFixture, tmp_path: Path) -> None:
    data = (image.out / "report.html").read_bytes()
    file = tmp_path / "with-a-script.html"
    file.write_bytes(data.replace(b"</body>", b"<script>alert(1)</script></body>"))
    assert any("Content Security Policy" in line for line in complaints(file))
    pale = data.replace(b"--quiet: #545968", b"--quiet: #c4c9d8")
    assert [one["id"] for one in judged(pale, tmp_path, "light").violations] == ["color-contrast"]
