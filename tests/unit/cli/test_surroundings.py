"""A missing home, user or working folder is an error of the command that needs it, and of no other."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from fakes.programs import Cosmos


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder that is removed then."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    return tmp_path


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be a user without HOME, and without a line in /etc/passwd."""

    def unknown(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "COSMOS_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["nowhere", "nobody"])
def test_what_needs_no_home_and_no_folder_works(place: str, cosmos: Cosmos, request: pytest.FixtureRequest) -> None:
    where: Path = request.getfixturevalue(place)
    (where / "system").mkdir()
    cosmos("--version").ok()
    cosmos("init", "--root", where / "system").ok()
    cosmos("status", "--root", where / "system").ok()
    cosmos("add-galaxy", "g", "file:///galaxy", "--root", where / "system").ok()
    cosmos("trust", "show", "--home", where / "home").fails(4)


def test_a_working_folder_that_is_gone_is_named(nowhere: Path, cosmos: Cosmos) -> None:
    (nowhere / "system").mkdir()
    cosmos("init", "--root", nowhere / "system").ok()
    refused = cosmos("add-galaxy", "g", "galaxy", "--root", nowhere / "system").fails(5).err
    assert "the working folder: cannot be used: no such file or directory" in refused
    assert "hint: cd /" in refused
    assert "the working folder" in cosmos("trust", "show").fails(5).err


def test_a_user_without_a_home_is_told_to_name_one(nobody: Path, cosmos: Cosmos) -> None:
    refused = cosmos("trust", "show").fails(5).err
    assert "HOME: is not set" in refused
    assert "--home DIR" in refused
    cosmos("trust", "show", "--home", nobody / "home").fails(4)
