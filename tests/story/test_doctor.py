"""`cosmos doctor` tries what a builder needs, says what each thing is for, and fails only if no image can be built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.programs import Cosmos, Outcome

CHECKS = (
    *(
        "cosmos",
        "zstd",
        "sandbox",
        "home",
        "store",
        "temporary folder",
        "memory",
        "trust",
        "Landlock",
        "bubblewrap",
        "apt-get",
    ),
    *("QEMU x86_64", "clock", "variations"),
)


def examined(outcome: Outcome) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(outcome.out)["checks"]}


def test_each_thing_says_what_it_is_for_and_what_mends_it(tmp_path: Path, cosmos: Cosmos) -> None:
    rows = examined(cosmos("doctor", "--home", tmp_path, "--json").ok())
    assert tuple(rows) == CHECKS
    assert [name for name, row in rows.items() if not row["purpose"] or not row["found"]] == []
    assert [name for name, row in rows.items() if (row["standing"] == "good") != (row["mend"] == "")] == []
    assert rows["sandbox"]["standing"] == "good"
    said = cosmos("doctor", "--home", tmp_path).ok().out
    assert "lacking  trust" in said
    assert "to mend it: cosmos trust init trust.toml --sha256 DIGEST" in said
    assert list(tmp_path.iterdir()) == []


def test_without_the_programs_of_other_commands_images_can_be_built(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = cosmos("doctor", "--home", tmp_path / "home", "--json").ok()
    rows = examined(outcome)
    assert json.loads(outcome.out)["builds"] is True
    assert [rows[name]["standing"] for name in ("bubblewrap", "apt-get", "QEMU x86_64")] == ["lacking"] * 3
    assert rows["bubblewrap"]["mend"].endswith("apt-get install --no-install-recommends bubblewrap")
    assert rows["QEMU x86_64"]["mend"].endswith("qemu-system-x86")


def test_a_home_that_cannot_be_written_is_exit_5(cosmos: Cosmos) -> None:
    outcome = cosmos("doctor", "--home", "/proc/home", "--json").fails(5)
    assert examined(outcome)["home"]["standing"] == "broken"
    assert json.loads(outcome.out)["builds"] is False
    assert "no image can be built here: home" in outcome.err


def test_a_damaged_trust_document_is_exit_5(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "trust.toml").write_text("version = 1\n")
    outcome = cosmos("doctor", "--home", tmp_path, "--json").fails(5)
    assert examined(outcome)["trust"]["standing"] == "broken"


@pytest.mark.parametrize(
    ("name", "broken"), [("store", "store"), ("config.toml", "store"), ("trust/trust.toml", "trust")]
)
def test_what_stands_in_the_place_of_a_home_s_own_is_exit_5(
    name: str, broken: str, tmp_path: Path, cosmos: Cosmos
) -> None:
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    if name == "trust/trust.toml":
        os.mkfifo(place)
    else:
        place.write_text("= nonsense")
    assert examined(cosmos("doctor", "--home", tmp_path, "--json").fails(5))[broken]["standing"] == "broken"


def test_a_folder_of_temporary_files_without_programs_is_named(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    words = (sys.executable, "-c", "from cosmos.cli.cosmos.main import main; main()", "doctor", "--json")
    script = 'mount -t tmpfs -o noexec none "$1" && shift && exec "$@"'
    said = subprocess.run(
        [unshare, "-Urm", "sh", "-c", script, "sh", tmp_path, *words, "--home", tmp_path / "home"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    row = {row["name"]: row for row in json.loads(said)["checks"]}["temporary folder"]
    assert row["standing"] == "lacking"
    assert row["mend"] == "name a folder that may hold programs: TMPDIR=DIR"
