"""What a release says of itself stays text in its page: no name, licence or description becomes a part of the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.canon import readable_json
from cosmos.digest import Digest
from cosmos.model.release import Release, Subject
from cosmos.model.reporter import Silent
from cosmos.release.report.changes import Changes, Row
from cosmos.release.report.facts import Description, Facts, Right
from cosmos.release.report.from_folder import facts_of
from cosmos.release.report.page import page
from fakes.images import APP, BASE, META, ImageFixture
from fakes.pages import ParsedPage
from fakes.programs import Cosmos

Built = Callable[..., ImageFixture]
SCRIPT = "</title></style></svg><script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "<!--",
    "]]><![CDATA[",
    "javascript:alert(1)",
    "\u202egnp.exe\u0000\u001b[31m",
    "\ud800",
    "&lt;b&gt;",
    "x" * 100_000,
)


@pytest.fixture
def image(tmp_path: Path, built_image: Built) -> ImageFixture:
    return built_image(tmp_path, (BASE, APP, META))


@pytest.fixture
def facts(image: ImageFixture) -> Facts:
    return facts_of(image.out, None, Silent())


def poisoned(value: Any, text: str) -> Any:
    """Return a JSON value with `text` for every string and every key."""
    if isinstance(value, dict):
        return {f"{key}{text}" if nested else key: poisoned(one, text) for key, one in value.items() for nested in [0]}
    if isinstance(value, list):
        return [poisoned(one, text) for one in value]
    return text if isinstance(value, str) else value


def hostile(facts: Facts, text: str) -> tuple[Facts, Changes]:
    """Return facts in which every text that a release can hold is `text`, and such changes."""
    policy = {
        "powers": {text: ["app", text]},
        "waive": {text: {"reason": text, "until": text, "paths": [text]}},
    }
    external = {
        **poisoned(dict(facts.release.external), text),
        "policy": policy,
        "acceptedRevoked": {text: text},
        "allowedDowngrades": {text: text},
        "unsteady": [text],
        "secrets": [text],
        "counter": text,
    }
    internal = {"contentRoot": text, "sourceDateEpoch": text, "sandbox": {text: text}}
    subject = Subject(name=text, digest=Digest.of(b""), size_bytes=1)
    builder = replace(facts.release.builder, versions={text: text})
    release = replace(facts.release, external=external, internal=internal, subjects=(subject,), builder=builder)
    galaxies = tuple(replace(galaxy, url=text, version=text) for galaxy in facts.lock.galaxies)
    stars = tuple(replace(star, signers=(text,) * 9, wanted_by=(text, *star.wanted_by)) for star in facts.lock.stars)
    described = Description(licence=text, text=text, origins=(text,) * 9)
    row = Row(name=text, place=text, what=(text, text))
    return replace(
        facts,
        release=release,
        lock=replace(facts.lock, galaxies=galaxies, stars=stars),
        bill={str(star.name): described for star in stars},
        layers={**facts.layers, text: (1, 1_000_000)},
        rights=(Right(path=text, layer=text, what=text),),
        deeds={str(star.name): (text, text) for star in stars} | {"finish": (text,)},
        definition=None if facts.definition is None else replace(facts.definition, description=text),
    ), Changes(
        against=text,
        summary=text,
        stars=(row,),
        rights=(row,),
        layers=(row,),
        paths=(row,),
        all_paths=2,
        others=(row,),
    )


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_no_text_of_a_release_becomes_a_part_of_its_page(facts: Facts, text: str) -> None:
    _, harmless = hostile(facts, "harmless")
    plain = ParsedPage(page(hostile(facts, "harmless")[0], changes=harmless, beside="out"))
    bad, changes = hostile(facts, text)
    data = page(bad, changes=changes, beside="out")
    found = ParsedPage(data)
    assert found.tags == plain.tags
    assert found.attributes == plain.attributes
    assert all(link.startswith(("#", "./out/")) for link in found.links)
    assert found.headings.count("Files") == 1
    assert len(data) < 500_000
    assert not any(character in found.text for character in "\u202e\u001b\u0000")


def test_a_script_in_the_bill_the_receipts_and_the_release_is_shown_as_text(
    image: ImageFixture, cosmos: Cosmos
) -> None:
    bill, document = image.out / "sbom.cdx.json", image.out / "RELEASE.json"
    rows = json.loads(bill.read_bytes())
    for component in rows["components"]:
        component |= {"description": SCRIPT, "licenses": [{"license": {"name": SCRIPT}}]}
    bill.write_bytes(readable_json(rows))
    release = Release.parse(document.read_bytes(), "RELEASE.json")
    subjects = tuple(
        replace(one, digest=Digest.of(bill.read_bytes()), size_bytes=bill.stat().st_size)
        if one.name == bill.name
        else one
        for one in release.subjects
    )
    forged = replace(release, subjects=subjects, external={**release.external, "image": SCRIPT, "version": "1/../.."})
    document.write_bytes(forged.to_bytes())
    written = Path(json.loads(cosmos("report", image.out, "-o", image.folder / "r.html", "--json").ok().out)["report"])
    found = ParsedPage(written.read_bytes())
    assert "script" not in found.tags
    assert found.text.count(SCRIPT) >= 5


def test_the_name_of_a_forged_release_does_not_choose_where_its_page_is_written(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = image.out / "RELEASE.json"
    release = Release.parse(document.read_bytes(), "RELEASE.json")
    document.write_bytes(replace(release, external={**release.external, "image": "../../up"}).to_bytes())
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    cosmos("report", image.out).ok()
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["..%2F..%2Fup-1.0.0-report.html"]
