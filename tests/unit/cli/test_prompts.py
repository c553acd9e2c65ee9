"""Whatever a program asks for on a terminal, a flag can answer: every command runs without a person."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cosmos.cli
from cosmos.cli.cosmos.main import program
from cosmos.cli.stellar.main import stellar
from fakes.programs import Cosmos

CLI = Path(cosmos.cli.__file__).parent
ASKING = {"prompt", "confirm", "getpass", "getchar", "pause", "edit", "input"}
QUESTIONS = {  # each place that asks, and the option that answers in its place
    ("passphrase", "new_passphrase"): "--passphrase-fd",
    ("passphrase", "ask"): "--passphrase-fd",
    ("stellar/new_star", "_asked"): "--description --license",
}


class Terminal(io.StringIO):
    """An input that says that a person types it."""

    def isatty(self) -> bool:
        return True


def leaves(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        yield from leaves(command) if isinstance(command, click.Group) else (command,)


def questions() -> Iterator[tuple[str, str]]:
    """Yield the module and the function of each call that asks a person."""
    for file in sorted(CLI.rglob("*.py")):
        tree = ast.parse(file.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = call.func
            asks = isinstance(called, ast.Attribute) and called.attr in ASKING and ast.unparse(called.value) == "click"
            if asks or (isinstance(called, ast.Name) and called.id in ASKING):
                around = [one for one in functions if one.lineno <= call.lineno <= (one.end_lineno or 0)]
                yield str(file.relative_to(CLI).with_suffix("")), max(around, key=lambda one: one.lineno).name


def test_every_question_is_known_with_the_option_that_answers_it() -> None:
    assert set(questions()) == set(QUESTIONS)


@pytest.mark.parametrize("name", ["cosmos", "stellar"])
def test_every_command_that_may_ask_has_the_option_that_answers(name: str) -> None:
    group: click.Group = program if name == "cosmos" else stellar
    seen = 0
    for command in leaves(group):
        options = {text for one in command.params for text in one.opts}
        assert not any(getattr(one, "prompt", None) for one in command.params), f"{command.name} asks by click itself"
        module = CLI.parent.parent / (command.callback.__module__.replace(".", "/") + ".py")  # type: ignore[union-attr]  # a leaf has one
        text = module.read_text()
        if "load_secret_keys" in text or "new_passphrase" in text or "SecretKey.load" in text:
            assert "--passphrase-fd" in options, command.name
            seen += 1
    assert seen > 1


def test_an_empty_answer_by_option_is_an_answer(
    tmp_path: Path, stellar: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(text: str, **_options: object) -> str:
        asked.append(text)
        return "answered"

    monkeypatch.setattr(click, "prompt", answer)
    monkeypatch.setattr("sys.stdin", Terminal())
    there = ("--folder", tmp_path)
    stellar("new-star", "quiet", *there, "--description", "", "--license", "").ok()
    assert asked == []
    stellar("new-star", "loud", *there).ok()
    assert asked == ["What is it, in a line", "Its licence (SPDX)"]
    assert 'description = "answered"' in (tmp_path / "loud/star.toml").read_text()
