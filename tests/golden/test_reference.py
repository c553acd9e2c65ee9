"""The reference: pages of commands and exit codes that are made from the program. `make golden` writes them again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from cosmos.cli.cosmos.main import program as cosmos
from cosmos.cli.stellar.main import stellar
from cosmos.errors import CosmosError

PROGRAMS = {"cosmos": cosmos, "stellar": stellar}
Golden = Callable[[str, str], None]
MADE = "<!-- Made from the program's own help. `make golden` writes this page again. -->"
SIGNALS = (("129", "SIGHUP ended it."), ("130", "It was interrupted."), ("143", "SIGTERM ended it."))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_page_of_commands_says_what_the_help_says(golden: Golden, name: str) -> None:
    golden(f"../../docs/reference/{name}.md", "\n".join(commands_page(name)).rstrip("\n") + "\n")


def test_the_page_of_exit_codes_names_every_family_of_errors(golden: Golden) -> None:
    named = [family for family in CosmosError.__subclasses__() if family.__module__ == CosmosError.__module__]
    families = sorted(named, key=lambda family: family.exit_code)
    assert [family.exit_code for family in families] == [2, 3, 4, 5, 6, 7]
    golden("../../docs/reference/exit-codes.md", "\n".join(exit_codes_page(families)) + "\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_command_is_missing_on_its_page(repo: Path, name: str) -> None:
    page = (repo / f"docs/reference/{name}.md").read_text()
    paths = [ctx.command_path for ctx in contexts(click.Context(PROGRAMS[name], info_name=name))]
    assert len(paths) > 15
    assert [path for path in paths if f"\n## {path}\n" not in page] == [name]


def commands_page(name: str) -> Iterator[str]:
    """Yield the lines of one program's page: a table of its commands, then a section for each."""
    top, *every = contexts(click.Context(PROGRAMS[name], info_name=name))
    yield from (f"# Commands of `{name}`", "", MADE, "")
    yield from description(top.command)
    yield from ("| command | what it does |", "|---|---|")
    for ctx in every:
        yield f"| [`{ctx.command_path}`](#{anchor(ctx)}) | {cell(ctx.command.get_short_help_str(200))} |"
    yield ""
    for ctx in every:
        yield from (f"## {ctx.command_path}", "")
        usage = " ".join(ctx.command.collect_usage_pieces(ctx))
        yield from ("```text", f"{ctx.command_path} {usage}".rstrip(), "```", "")
        yield from description(ctx.command)
        yield from options(ctx)


def contexts(ctx: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command, and after it those of the commands below it, hidden ones left out."""
    yield ctx
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            if command is not None and not command.hidden and name != stellar.name:  # it has a page of its own
                yield from contexts(click.Context(command, info_name=name, parent=ctx))


def description(command: click.Command) -> Iterator[str]:
    """Yield a command's help: a paragraph that begins with the character \\b keeps its lines."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            yield from ("```text", *lines[1:], "```", "")
        elif lines:
            yield from (plain(" ".join(lines)), "")


def options(ctx: click.Context) -> Iterator[str]:
    """Yield the table of a command's options, without `--help` (and `-h`, which a command has once it was called)."""
    records = filter(None, (param.get_help_record(ctx) for param in ctx.command.get_params(ctx)))
    rows = [(words, meaning) for words, meaning in records if meaning and not words.endswith("--help")]
    if rows:
        yield from ("| option | meaning |", "|---|---|")
        yield from (f"| `{words.replace('|', chr(92) + '|')}` | {cell(meaning)} |" for words, meaning in rows)
        yield ""


def exit_codes_page(families: list[type[CosmosError]]) -> Iterator[str]:
    """Yield the lines of the page of exit codes."""
    yield from ("# Exit codes", "", MADE.replace("help", "families of errors"), "")
    yield "An exit code says what a person must do about a failure. Its meaning stays: scripts may rely on it."
    yield from ("", "| code | what happened |", "|---:|---|", "| 0 | Done. |")
    yield "| 1 | A bug in Cosmos. The message says where to report it. |"
    for family in families:
        first, _, _ = inspect.cleandoc(family.__doc__ or "").partition(" `")
        yield f"| {family.exit_code} | {first} |"
    yield from (f"| {code} | {meaning} |" for code, meaning in SIGNALS)
    yield "| 141 | The reader closed the pipe (`cosmos ls … \\| head -1`). |"


def anchor(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def cell(text: str) -> str:
    return plain(" ".join(text.split())).replace("|", "\\|")


def plain(text: str) -> str:
    """Return text that Markdown shows as it is written."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
