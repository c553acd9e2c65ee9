"""Fixtures: a script run against a small archive, with no disk in sight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cosmos.errors import ScriptFailed
from cosmos.nova.job import NovaJob, NovaResult
from cosmos.nova.run import run_build, run_install
from cosmos.tree.entry import Entry, Kind, tree_of
from cosmos.treepath import TreePath

EPOCH = 1000

Install = Callable[..., NovaResult]


def node(path: str, kind: Kind = "file", content: bytes = b"", mode: int | None = None, **fields: Any) -> Entry:
    """An entry in one line."""
    modes = {"dir": 0o755, "symlink": 0o777}
    return Entry(
        path=TreePath.parse(path),
        kind=kind,
        content=content,
        mode=modes.get(kind, 0o644) if mode is None else mode,
        **fields,
    )


def job(script: str, *, files: Iterable[Entry] = (), beside: Iterable[Entry] = (), root: Iterable[Entry] = (),
        own: Iterable[Entry] = (), **fields: Any) -> NovaJob:  # fmt: skip
    """A job for a star named busybox."""
    return NovaJob(
        star="busybox",
        script_name="install.lua",
        script=script.encode("utf-8", "surrogateescape"),
        files=tree_of(files),
        beside=tree_of(beside),
        root=tree_of(root),
        own=tree_of(own),
        epoch=EPOCH,
        **fields,
    )


@pytest.fixture
def entry() -> Callable[..., Entry]:
    """Makes an entry."""
    return node


@pytest.fixture
def script() -> Install:
    """Runs a whole script."""
    return lambda text, **fields: run_install(job(text, **fields))


@pytest.fixture
def install() -> Install:
    """Runs the body of an install()."""
    return lambda body, **fields: run_install(job(f"function install() {body}\nend", **fields))


@pytest.fixture
def build() -> Install:
    """Runs the body of a build()."""
    return lambda body, **fields: run_build(job(f"function build() {body}\nend", **fields))


@pytest.fixture
def failure() -> Callable[..., ScriptFailed]:
    """Runs the body of an install() that must fail; returns how it failed."""

    def run(body: str, **fields: Any) -> ScriptFailed:
        with pytest.raises(ScriptFailed) as caught:
            run_install(job(f"function install() {body}\nend", **fields))
        return caught.value

    return run


@pytest.fixture
def lines() -> Callable[[NovaResult], list[str]]:
    """A layer as lines that a person can read: `kind mode uid:gid path detail`."""

    def shown(result: NovaResult) -> list[str]:
        return [
            f"{e.kind} {e.mode:04o} {e.uid}:{e.gid} /{path.text}"
            + (f" {bytes(e.content).decode()}" if e.kind == "file" else "")
            + (f" -> {e.target.decode()}" if e.target else "")
            + (f" {e.rdev[0]}:{e.rdev[1]}" if e.rdev else "")
            for path, e in result.entries.items()
        ]

    return shown
