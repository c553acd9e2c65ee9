"""The variations of PATH and of the user: what a build would start is seen, and what cannot be varied has a reason."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cosmos.image.rebuild import variations as module
from cosmos.image.rebuild.variations import DECOYS, applied, command, started_decoys, tools_path, variations


def named(name: str):
    (found,) = [one for one in variations(program_is_readable=False) if one.name == name]
    return found


def test_a_program_that_a_build_starts_from_path_is_a_decoy_and_is_named(tmp_path: Path) -> None:
    now = applied((named("tools"),))
    path = tools_path(now, tmp_path / "tools", "/usr/bin:/bin")
    argv = ("/bin/sh", "-c", "sort --version; echo x | tar --help; python3 -c 'print(1)'")
    said = subprocess.run(
        command(now, argv, tmp_path / "pid"), env={"PATH": path}, check=True, capture_output=True, text=True
    ).stdout
    assert said.splitlines() == [
        "cosmos-decoy 0.0.1 --version", "cosmos-decoy 0.0.1 --help", "cosmos-decoy 0.0.1 -c print(1)",
    ]  # fmt: skip
    assert started_decoys(tmp_path / "tools") == ("python3", "sort", "tar")


def test_nothing_that_was_not_started_is_named(tmp_path: Path) -> None:
    tools_path(applied((named("tools"),)), tmp_path / "tools", "/bin")
    assert {file.name for file in (tmp_path / "tools").iterdir()} == set(DECOYS)
    assert started_decoys(tmp_path / "tools") == ()


def test_without_tools_path_has_nothing_but_what_a_build_needs(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    for name in ("bwrap", "sort"):
        (given / name).write_text("#!/bin/sh\n")
        (given / name).chmod(0o755)
    path = tools_path(applied((named("no tools"),)), tmp_path / "tools", str(given))
    assert path == str(tmp_path / "tools")
    assert [file.name for file in (tmp_path / "tools").iterdir()] == ["bwrap"]


def test_a_program_that_another_user_may_not_start_runs_as_one_in_a_namespace(tmp_path: Path) -> None:
    user = named("user")
    if user.missing:
        pytest.skip(user.missing)
    assert "another user may not start this program" in user.what
    words = command(applied((user,)), ("/usr/bin/id", "-u"), tmp_path / "pid")
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout == "65534\n"


def test_a_machine_without_user_namespaces_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name, **_: "/bin/false" if name == "unshare" else f"/bin/{name}")
    assert named("user").missing.startswith("this machine allows no user namespaces: ")


def test_an_architecture_is_not_varied_in_silence() -> None:
    assert "no seccomp filter" in named("architecture").missing
