"""Asking on a terminal before a system is changed."""

from __future__ import annotations

import io
import sys

import click
import pytest

from cosmos.cli.cosmos.asking import demand_agreement
from cosmos.cli.terminal import Surroundings, Terminal


def asked(*, is_terminal: bool) -> tuple[Surroundings, io.StringIO]:
    stderr = io.StringIO()
    terminal = Terminal("cosmos", stderr, environ={})
    around = Surroundings(
        program="cosmos", environ={}, terminal=terminal, stdin_is_terminal=is_terminal, now=lambda: 0.0
    )
    return around, stderr


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", " YES \n"])
def test_yes_goes_on(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    around, stderr = asked(is_terminal=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    demand_agreement(around, "Update?", is_agreed=False)
    assert stderr.getvalue() == "Update? [y/N] "


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yesterday\n"])
def test_anything_else_ends_the_command(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    around, stderr = asked(is_terminal=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    with pytest.raises(click.Abort):
        demand_agreement(around, "Update?", is_agreed=False)
    assert stderr.getvalue() == "Update? [y/N] nothing was changed\n"


@pytest.mark.parametrize(("is_terminal", "is_agreed"), [(False, False), (True, True)])
def test_nothing_is_asked_without_a_terminal_or_with_yes(is_terminal: bool, is_agreed: bool) -> None:
    around, stderr = asked(is_terminal=is_terminal)
    demand_agreement(around, "Update?", is_agreed=is_agreed)
    assert stderr.getvalue() == ""
