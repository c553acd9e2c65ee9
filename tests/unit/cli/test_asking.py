"""A command asks on a terminal before it changes something, and never where nobody can answer."""

from __future__ import annotations

import io
import os

import click
import pytest

from cosmos.cli.cosmos.asking import demand_yes
from cosmos.cli.terminal import Surroundings, Terminal

ASKED = "install 2 stars?"


def asking(monkeypatch: pytest.MonkeyPatch, typed: str, *, at_terminal: bool = True, **how: bool) -> str:
    """Return what is written on stderr while `demand_yes` is answered by `typed`."""
    stream = io.StringIO()
    terminal = Terminal("cosmos", stream, environ={"TERM": "dumb"})
    around = Surroundings(
        program="cosmos", environ=os.environ, terminal=terminal, stdin_is_terminal=at_terminal, now=lambda: 0.0
    )
    monkeypatch.setattr("cosmos.cli.cosmos.asking.surroundings", lambda: around)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
    demand_yes(ASKED, **{"yes": False, **how})
    return stream.getvalue()


@pytest.mark.parametrize("typed", ["y\n", "Y\n", "yes\n", " YES \n"])
def test_yes_goes_on(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    assert asking(monkeypatch, typed) == f"{ASKED} [y/N] "


@pytest.mark.parametrize("typed", ["\n", "n\n", "no\n", "", "yess\n", "\x1b[A\n", "y" * 5000 + "\n"])
def test_everything_but_yes_stops(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    with pytest.raises(click.Abort):
        asking(monkeypatch, typed)


@pytest.mark.parametrize("how", [{"yes": True}, {"as_json": True}, {"at_terminal": False}])
def test_nobody_is_asked_where_nobody_answers(monkeypatch: pytest.MonkeyPatch, how: dict[str, bool]) -> None:
    assert asking(monkeypatch, "no\n", **how) == ""
