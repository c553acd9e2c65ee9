"""Manual pages (man(7)), made from the help of the commands: `cosmos manual DIR`.

One page a program and one a command: cosmos.1, cosmos-build.1, cosmos-key-new.1. They hold no date, so that the same
program makes the same bytes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.about import REPORT_BUGS_TO, VERSION
from cosmos.cli.options import FOLDER
from cosmos.durable import make_folder, write_durably


@click.command("manual", hidden=True)
@click.argument("folder", type=FOLDER)
@click.pass_context
def manual(ctx: click.Context, folder: Path) -> None:
    """Write this program's manual pages into FOLDER."""
    make_folder(folder)
    for name, text in pages(ctx.find_root()):
        write_durably(folder / name, text.encode())


def pages(top: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of each page of the program whose context is `top`."""
    waiting = [top]
    while waiting:
        ctx = waiting.pop(0)
        children = [_child(ctx, name, command) for name, command in _commands(ctx)]
        yield f"{_title(ctx)}.1", "\n".join((*_page(ctx, children), ""))
        waiting += children


def _commands(ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    group = ctx.command
    if isinstance(group, click.Group):
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if command is not None and not command.hidden:
                yield name, command


def _child(ctx: click.Context, name: str, command: click.Command) -> click.Context:
    return click.Context(command, info_name=name, parent=ctx)


def _title(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def _page(ctx: click.Context, children: list[click.Context]) -> Iterator[str]:
    command = ctx.command
    yield f'.TH "{_title(ctx).upper()}" 1 "" "cosmos {VERSION}" "Cosmos"'
    yield from (".SH NAME", f"{_text(_title(ctx))} \\- {_text(command.get_short_help_str(200))}")
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield from (".SH SYNOPSIS", f".B {_text(ctx.command_path)}", _text(usage))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(inspect.cleandoc(command.help or ""))
    records = filter(None, (param.get_help_record(ctx) for param in command.get_params(ctx)))
    options = [(words, meaning) for words, meaning in records if meaning]  # an argument has no words of its own
    if options:
        yield ".SH OPTIONS"
        for words, meaning in options:
            yield from (".TP", f".B {_text(words)}", _text(meaning))
    if children:
        yield ".SH COMMANDS"
        for child in children:
            yield from (".TP", f".BR {_text(_title(child))} (1)", _text(child.command.get_short_help_str(200)))
    yield from (".SH BUGS", _text(REPORT_BUGS_TO))


def _paragraphs(text: str) -> Iterator[str]:
    """Yield help as click writes it: a paragraph that begins with the character \\b keeps its lines."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        yield ".PP"
        if lines and lines[0].strip() == "\b":
            yield from (".nf", *map(_text, lines[1:]), ".fi")
        else:
            yield from map(_text, lines)


def _text(line: str) -> str:
    """Return a line that roff shows as it is.

    >>> _text(".cosmos/ is a folder"), _text("--key a\\\\b")
    ('\\\\&.cosmos/ is a folder', '\\\\-\\\\-key a\\\\eb')
    """
    shown = line.replace("\\", "\\e").replace("-", "\\-").strip()
    shown = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in shown)
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown
