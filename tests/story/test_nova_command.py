"""`cosmos nova`: a script, or a line of verbs, on a scratch root."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.programs import Cosmos


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = tmp_path / "tool"
    (folder / "files").mkdir(parents=True)
    (folder / "files/x").write_text("hello")
    (folder / "install.lua").write_text(
        'function install() copy("x", "/usr/x") if exists("/etc/y") then log("y") end end'
    )
    return folder / "install.lua"


def test_a_script_is_tried_and_its_receipt_is_shown(script: Path, cosmos: Cosmos) -> None:
    answer = cosmos("nova", script, "--json").json()
    assert answer["made"] == [
        "added file 0644 0:0 /usr/x 5 sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    ]
    assert [event["do"] for event in answer["receipt"]["events"]] == ["read", "copy", "read"]


def test_the_scratch_root_is_a_copy_of_a_folder_that_is_not_changed(
    script: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/y").write_text("y")
    answer = cosmos("nova", script, "--root", root, "--json").json()
    assert [event["do"] for event in answer["receipt"]["events"]] == ["read", "copy", "log"]
    assert [path.name for path in root.iterdir()] == ["etc"]


def test_a_script_that_fails_is_exit_6(script: Path, cosmos: Cosmos) -> None:
    script.write_text("function install() copy('nope', '/x') end")
    assert "install.lua:1: copy: nope is not in the star's archive" in cosmos("nova", script).fails(6).err
