"""`run()` may not lie: a layer that programs made is made twice; a difference is an error that names the program."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec
from fakes.images import EPOCH, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome
from fakes.shells import shell, with_programs

pytestmark = [
    pytest.mark.objective("SO-24"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there"),
]
UUID = "read -r x </proc/sys/kernel/random/uuid; echo $x >made"


def image_of(
    where: Path, cosmos: Cosmos, command: str, policy: str = "", programs: tuple[str, ...] = ()
) -> ImageFixture:
    """An image of one star, whose script runs a shell command."""
    script = f"function install() run{{'/bin/sh', '-c', [==[{command}]==]}} end"
    tool = StarSpec("tool", "1.0.0", {"given": b"given"}, {"shell": "*"}, script=script)
    tables = f'[policy]\nrun = ["tool"]\noutside = ["tool", "shell"]\n{policy}\n'
    image = make_image(where, (with_programs(*programs) if programs else shell(), tool), {"tool": "*"}, tables=tables)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return image


def build(image: ImageFixture, cosmos: Cosmos) -> Outcome:
    return cosmos("build", image.folder, "--home", image.home, "--explain")


def receipt_of(image: ImageFixture) -> dict[str, object]:
    receipt: dict[str, object] = json.loads((image.out / "receipts.json").read_bytes())["stars"]["tool"]
    return receipt


def test_a_star_that_writes_the_date_is_refused_with_its_path(tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, "date >usr-date", programs=("/bin/date",))
    refused = build(image, cosmos).fails(6)
    problem = "makes something else the second time: /usr-date: its bytes differ (29 with "
    assert f"tool: install.lua:1: run: /bin/sh -c 'date >usr-date' {problem}" in refused.err
    assert 'write under [policy] in image.toml:\n  unsteady = ["tool"]' in refused.err
    assert not image.out.exists()


def test_a_star_that_writes_the_day_is_refused_although_two_runs_are_the_same(tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, "date +%F >day", programs=("/bin/date",))
    days = [datetime.now(UTC).strftime("%Y-%m-%d")]
    refused = build(image, cosmos).fails(6)
    days.append(datetime.now(UTC).strftime("%Y-%m-%d"))
    said = [f"'date +%F >day' writes the day of the build, {day}: /day" in refused.err for day in days]
    assert any(said), refused.err


def test_the_day_of_source_date_epoch_is_no_day_of_the_build(tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, 'date -d "@$SOURCE_DATE_EPOCH" +%F >day', programs=("/bin/date",))
    build(image, cosmos).ok()
    expected = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%d\n")
    assert cosmos("cat", image.out, "day").ok().out == expected


def test_a_day_that_the_star_itself_has_is_not_the_builders(tmp_path: Path, cosmos: Cosmos) -> None:
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    image = image_of(tmp_path, cosmos, f"echo {today} >day")
    build(image, cosmos).ok()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (UUID, "/made: its bytes differ (37 with "),
        (f"{UUID.replace('>made', '')}; : >$x", "time only"),
        (": >made; chmod $(printf %o $(($(date +%s) % 512))) made", "/made: its mode differs"),
        (f"{UUID}; ln -s $x link; : >made", "/link: its target differs"),
        ("touch -d @$(($(date +%s) - 1000000000)) made", "/made: its time differs"),
    ],
    ids=["bytes", "name", "mode", "target", "time"],
)
def test_each_field_that_differs_is_named(command: str, problem: str, tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, command, programs=("/bin/chmod", "/bin/ln", "/bin/touch", "/bin/date"))
    refused = build(image, cosmos).fails(6)
    assert problem in refused.err, refused.err


def demand_refused(script: str, tmp_path: Path, cosmos: Cosmos) -> None:
    tool = StarSpec("tool", "1.0.0", {}, {"shell": "*"}, script=script)
    tables = '[policy]\nrun = ["tool"]\noutside = ["tool", "shell"]\n'
    image = make_image(tmp_path, (shell(), tool), {"tool": "*"}, tables=tables)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert "/made: its bytes differ" in build(image, cosmos).fails(6).err


def test_what_a_later_program_removes_is_seen_all_the_same(tmp_path: Path, cosmos: Cosmos) -> None:
    script = f"function install() run{{'/bin/sh', '-c', '{UUID}'}} run{{'/bin/sh', '-c', ': >made'}} end"
    demand_refused(script, tmp_path, cosmos)


def test_a_script_cannot_catch_the_refusal(tmp_path: Path, cosmos: Cosmos) -> None:
    script = f"function install() pcall(function() run{{'/bin/sh', '-c', '{UUID}'}} end) end"
    demand_refused(script, tmp_path, cosmos)


def test_a_steady_layer_is_made_twice_once_and_the_cost_is_said(tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, "echo made >made")
    assert (
        "tool: its layer was made: this program has not made one of this archive, script and image definition yet"
        in (first := build(image, cosmos).ok().err)
    )
    assert "tool: its programs ran twice" in first
    again = build(image, cosmos).ok().err
    assert "nothing changed: " in again
    assert "twice" not in again
    assert receipt_of(image)["receipt-version"] == 1
    assert "unsteady" not in receipt_of(image)


def test_a_waiver_stands_in_the_release_and_in_the_receipt(tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, UUID, policy='unsteady = ["tool", "shel"]')
    said = build(image, cosmos).ok().err
    assert "policy.unsteady names shel, but the lock has no such star; did you mean shell?" in said
    assert "tool: its programs may give another result each time, and policy.unsteady allows that" in said
    release = json.loads((image.out / "RELEASE.json").read_bytes())
    external = release["predicate"]["buildDefinition"]["externalParameters"]
    assert external["unsteady"] == ["tool"]
    assert (receipt_of(image)["receipt-version"], receipt_of(image)["unsteady"]) == (2, True)


def test_a_layer_made_under_a_waiver_does_not_count_without_it(tmp_path: Path, cosmos: Cosmos) -> None:
    image = image_of(tmp_path, cosmos, UUID, policy='unsteady = ["tool"]')
    build(image, cosmos).ok()
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace('unsteady = ["tool"]', ""))
    assert "/made: its bytes differ" in build(image, cosmos).fails(6).err
