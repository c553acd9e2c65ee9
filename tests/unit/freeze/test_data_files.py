"""The files of the package that are no Python are in the wheel and in the binary, and count as the binary's inputs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest


def test_every_data_file_is_in_the_wheel_and_in_the_binary_and_counts_as_its_input(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repo / "freeze"))
    import build_binary

    source = repo / "builder"
    files = {
        path.relative_to(source)
        for path in (source / "cosmos").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert len(files) >= 3
    packages = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    in_wheel = {
        path.relative_to(source)
        for package, globs in packages.items()
        for glob in globs
        for path in (source / package.replace(".", "/")).glob(glob)
    }
    spec = (repo / "freeze" / "cosmos.spec").read_text()
    rows = re.findall(r'\(str\(ROOT((?: / "[^"]+")+)\), "([^"]+)"\)', spec)
    in_binary = {
        Path(target) / path.name
        for names, target in rows
        for path in repo.glob("/".join(re.findall(r'"([^"]+)"', names)))
    }
    places = SimpleNamespace(root=repo, requirements=repo / "requirements.txt")
    inputs = build_binary.inputs(places, host_s=True)
    counted = {Path(name).relative_to("builder") for name in inputs if name.startswith("builder/")}
    assert (in_wheel, in_binary, files - counted) == (files, files, set())
