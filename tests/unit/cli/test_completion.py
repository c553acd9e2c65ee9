"""The Tab key completes image folders, keys and stars, and never prints an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cosmos as cosmos_package
from fakes.galaxies import StarSpec
from fakes.images import make_image
from fakes.programs import Cosmos

TO_START = "from cosmos.cli.{0}.main import main; import sys; sys.argv[0] = '{0}'; main()"


def completed(words: str, where: Path, *, program: str = "cosmos") -> list[str]:
    """What bash would offer for the last of `words`, which may be empty."""
    given = words.split(" ")
    path = str(Path(cosmos_package.__file__).parent.parent)
    variable = f"_{program.upper()}_COMPLETE"
    environ = {"PYTHONPATH": path, "COMP_WORDS": words, "COMP_CWORD": str(len(given) - 1), variable: "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", TO_START.format(program)],
        cwd=where, env={**os.environ, **environ}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_an_image_s_folder_is_offered_from_its_first_letter(tmp_path: Path) -> None:
    for name in ("images/one", "images/two", "images/none", "inside"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("one", "two"):
        (tmp_path / "images" / name / "image.toml").write_text("")
    assert completed("cosmos build im", tmp_path) == ["images/one", "images/two"]
    assert completed("cosmos freeze images/t", tmp_path) == ["images/two"]
    assert completed("cosmos build ins", tmp_path) == ["ins"]  # the shell's own completion of paths


def test_a_key_is_offered_where_that_kind_of_key_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("a.key", "a.pub", "notes"):
        (tmp_path / "keys" / name).write_text("")
    assert completed("cosmos build --key k", tmp_path) == ["keys/a.key"]
    assert completed("cosmos verify --key keys/", tmp_path) == ["keys/a.pub"]
    assert completed("stellar sign --key k", tmp_path, program="stellar") == ["keys/a.key"]


def test_stars_of_an_image_s_lock_are_offered(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (StarSpec("editor", "1.0.0", {"usr/bin/e": b"e"}),), {"editor": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert completed(f"cosmos why {image.folder} ed", tmp_path) == ["editor"]


def test_wishes_are_offered_to_be_removed_and_stars_of_local_galaxies_to_be_added(tmp_path: Path) -> None:
    image = make_image(tmp_path, (StarSpec("editor", "1.0.0"), StarSpec("emulator", "1.0.0")), {"editor": "*"})
    assert completed(f"cosmos remove {image.folder} e", tmp_path) == ["editor"]
    assert completed(f"cosmos add {image.folder} e", tmp_path) == ["editor", "emulator"]


def test_installed_stars_are_offered(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (StarSpec("editor", "1.0.0", {"usr/bin/e": b"e"}),), {"editor": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--keep-root", tmp_path / "root").ok()
    assert completed(f"cosmos uninstall --root {tmp_path / 'root'} e", tmp_path) == ["editor"]


@pytest.mark.parametrize(
    "words",
    ["cosmos uninstall x", "cosmos show x", "cosmos why /nowhere x", "cosmos repair x", "cosmos add /nowhere x"],
)
def test_where_nothing_can_be_read_nothing_is_said(words: str, tmp_path: Path) -> None:
    assert completed(words, tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str, cosmos: Cosmos) -> None:
    said = cosmos("completion", shell).ok().out
    assert f"_COSMOS_COMPLETE={shell}_complete" in said


@pytest.mark.parametrize("shell", ["bash_complete", "fish_complete", "nonsense"])
@pytest.mark.parametrize("variables", [{}, {"COMP_WORDS": "cosmos '", "COMP_CWORD": "x"}])
def test_variables_that_no_shell_sets_print_nothing(shell: str, variables: dict[str, str], tmp_path: Path) -> None:
    path = str(Path(cosmos_package.__file__).parent.parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMP_")}
    done = subprocess.run(
        [sys.executable, "-c", TO_START.format("cosmos")], cwd=tmp_path, capture_output=True, text=True,
        env={**kept, "PYTHONPATH": path, "_COSMOS_COMPLETE": shell, **variables},
    )  # fmt: skip
    assert done.stderr == ""
    if "COMP_WORDS" not in variables:
        assert done.stdout == ""
