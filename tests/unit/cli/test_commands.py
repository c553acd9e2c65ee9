"""The commands of `cosmos` and `stellar`: each has a module that its words name, imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cosmos.cli
from cosmos.cli.cosmos.main import program
from cosmos.cli.stellar.main import stellar

CLI = Path(cosmos.cli.__file__).parent
BOTH = ("completion", "manual")  # commands of both programs: each has one module, cli/NAME.py


def leaves(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command below `group` that is no group itself, with the words that one types."""
    for word in group.list_commands(context := click.Context(group)):
        command = group.get_command(context, word)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, *words, word)
        else:
            yield (*words, word), command


def commands(name: str) -> dict[str, click.Command]:
    """Return the commands of the program `name`, by the module that their words name."""
    group = program if name == "cosmos" else stellar
    found = leaves(group, "cosmos", "cli", name)
    return {
        ".".join(words).replace("-", "_"): command for words, command in found if words[3] not in ("stellar", *BOTH)
    }


def test_every_command_that_a_room_offers_is_found_and_no_other() -> None:
    context = click.Context(program)
    found = {name: program.get_command(context, name) for name in program.list_commands(context)}
    assert {name: command.name for name, command in found.items() if command is not None} == {
        name: name for name in found
    }
    assert found["stellar"] is stellar
    assert program.get_command(context, "no-such") is None


@pytest.mark.parametrize("name", ["cosmos", "stellar"])
def test_the_module_of_a_command_is_named_by_the_words_that_one_types(name: str) -> None:
    for module, command in commands(name).items():
        assert command.callback is not None
        assert command.callback.__module__ == module


@pytest.mark.parametrize("name", BOTH)
def test_both_programs_have_the_commands_that_are_about_a_program(name: str) -> None:
    found = [group.get_command(click.Context(group), name) for group in (program, stellar)]
    assert [command.callback.__module__ for command in found if command and command.callback] == [
        f"cosmos.cli.{name}"
    ] * 2


@pytest.mark.parametrize("name", ["cosmos", "stellar"])
def test_every_module_that_defines_a_command_is_reached(name: str) -> None:
    defining = {
        ".".join(("cosmos", "cli", *file.relative_to(CLI).with_suffix("").parts))
        for file in (CLI / name).rglob("*.py")
        if "@click.command(" in file.read_text()
    }
    assert defining == set(commands(name))


def test_the_version_is_told_without_importing_any_command() -> None:
    text = """
import atexit, sys
atexit.register(lambda: print([name for name in sys.modules if name.startswith(("cosmos.image", "cosmos.stellar"))]))
sys.argv = ["cosmos", "--version"]
from cosmos.cli.cosmos.main import main; main()
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_build_without_a_page_imports_nothing_that_makes_one() -> None:
    text = """
import sys
from types import SimpleNamespace
from cosmos.cli.cosmos.page_file import write_page
write_page(SimpleNamespace(report=None), None)
print([name for name in sys.modules if name.startswith(("jinja2", "cosmos.release.report"))])
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
