"""Asking on a terminal before a system is changed."""

from __future__ import annotations

import io
import sys

import click
import pytest

from cosmos.cli.cosmos.asking import demand_agreement
from cosmos.cli.terminal import Surroundings, Terminal
from cosmos.errors import Malformed


class Screen(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def asked(*, is_terminal: bool, stderr: io.StringIO | None = None) -> tuple[Surroundings, io.StringIO]:
    stderr = stderr or Screen()
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
    assert stderr.getvalue().endswith("Update? [y/N] ")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yesterday\n"])
def test_anything_else_ends_the_command(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    around, stderr = asked(is_terminal=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    with pytest.raises(click.Abort):
        demand_agreement(around, "Update?", is_agreed=False)
    assert stderr.getvalue().endswith("Update? [y/N] nothing was changed\n")


@pytest.mark.parametrize(("is_terminal", "is_agreed"), [(False, False), (True, True)])
def test_nothing_is_asked_without_a_terminal_or_with_yes(is_terminal: bool, is_agreed: bool) -> None:
    around, stderr = asked(is_terminal=is_terminal)
    demand_agreement(around, "Update?", is_agreed=is_agreed)
    assert stderr.getvalue() == ""


def test_a_question_that_nobody_would_see_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    around, _ = asked(is_terminal=True, stderr=log)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(Malformed, match="nobody would see the question: Update") as caught:
        demand_agreement(around, "Update?", is_agreed=False)
    assert "--yes" in str(caught.value.hint)
    assert log.getvalue() == ""
    demand_agreement(around, "Update?", is_agreed=True)
