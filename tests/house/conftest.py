"""The inputs of the house rules: the program's modules, parsed once, and the tracked files."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BINARY = frozenset({".zst", ".gz", ".cpio", ".png", ".deb", ".pub.bin"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """One module of the program: its dotted name below `cosmos` (`""` is the package itself), text and syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first part of its name: the package under `cosmos` that it is in."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"cosmos.{self.name}" if self.name else "cosmos"


def module_of(path: Path, source_root: Path) -> Module:
    """Return the module at `path`, a file below `source_root`/cosmos."""
    parts = path.relative_to(source_root / "cosmos").with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    text = path.read_text(encoding="utf-8")
    return Module(name=name, path=path, text=text, tree=ast.parse(text, filename=str(path)))


def planted(text: str, name: str = "resolve.planted") -> Module:
    """Return a module that does not exist, to show that a rule catches it."""
    return Module(name=name, path=Path(f"{name}.py"), text=text, tree=ast.parse(text))


@pytest.fixture(scope="session")
def modules(repo: Path) -> tuple[Module, ...]:
    """Every module of the program, in order of name."""
    source_root = repo / "builder"
    found = tuple(module_of(path, source_root) for path in sorted((source_root / "cosmos").rglob("*.py")))
    assert len(found) > 20
    return found


@pytest.fixture(scope="session")
def plant() -> object:
    """Return the function that makes a module from text (tests are no package and cannot import it)."""
    return planted


@pytest.fixture(scope="session")
def tracked(repo: Path) -> tuple[Path, ...]:
    """Every tracked file that exists, in order of path."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repo, check=True, capture_output=True).stdout
    return tuple(path for path in (repo / name for name in listing.decode().split("\0") if name) if path.is_file())


@pytest.fixture(scope="session")
def tracked_texts(tracked: tuple[Path, ...]) -> dict[Path, str]:
    """The tracked files that are text, with their text."""
    return dict(_texts(tracked))


def _texts(paths: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.suffix in BINARY or path.is_symlink():
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
