"""A value in a command that is printed for a person to paste is quoted for the shell, or cannot need it.

A path may have a space, a quote or `$(…)` in it: `rm my image` removes two other files. So in each text with a command
(`cosmos build …`, `mv …`, an option in a hint), a value behind the command's word is `quoted(…)`, or made of such
values, of constants and of numbers. Else it stands in `NEED_NONE`, with the reason. What stands before it is prose.

A hint may be a line of TOML or Lua instead: there `basic_string(…)` and `in_lua(…)` write the quotes with the value.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import pytest

from cosmos.cli.cosmos.main import program
from cosmos.cli.stellar.main import stellar

Planter = Callable[..., object]

NEED_NONE: Mapping[str, Sequence[str]] = {
    "the option --root, whose folder is quoted": (
        "option",
        "root.option",
        "self._root.option",
        "self.root.option",
        "root_text(root)",
    ),
    "the name of a star or galaxy: letters, digits and + . _ - (model.names)": (
        "star.name",
        "asked.name",
        "newer.galaxy",
        "problem.star",
        "cli.cosmos.remove: name",
        "device.choose: name",
        "device.choose_update: name",
        "device.examination: name",
        "device.inside: name",
        "device.locked: locked.name",
        "device.sync: name",
        "device.uninstall: every",
        "device.uninstall: ' '.join(going)",
        "image.resolution: near[0]",
        "image.workshop.layers: one",
        "model.powers: name",
        "image.resolution: name",
        "stellar.galaxy_library: stellar build-star stars/{star} --galaxy FOLDER, then stellar index-galaxy FOLDER",
    ),
    "the name of a variable: a-z, 0-9 and _ (model.template)": (
        "variable.name",
        "image.given_values: name",
        "image.template: name",
    ),
    "one of a few words of ours": (
        "role",
        "suite",
        "machine.package",
        "proxy.variable",
        "release.boot: package",
        "release.boot: command",
        "release.boot: console",
    ),
    "hexadecimal digits": ("done.trust", "written.digest.hex"),
    "letters, digits and . _ : - (transport.proxies)": ("proxy.host",),
    "a number": ("proxy.port",),
    "a text that is measured, and not shown": ("plain_toml: value",),
    "prose that follows a command": (
        "image.template: declared.variables[name].meaning",
        "image.vendored_definition: digest",
        "device.repair_work: otherwise",
    ),
}
"""Expressions that need no quoting, by the reason. One with a module before it counts in that module alone."""

QUOTING = ("quoted", "pasted")  # `errors.quoted`, `LiveRoot.pasted`
TOOLS = ("apt-get install", "chmod", "chown", "cp", "export", "ln", "mkdir", "mv", "rm", "rmdir", "sudo", "tar(?= -)")
COMMANDS = (*(f"cosmos {one}" for one in program.loaders), *(f"stellar {one}" for one in stellar.loaders), *TOOLS)
COMMAND = re.compile(rf"(?<![\w./-])(?:{'|'.join(COMMANDS)})(?= |…|$)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[ =]")
NUMBER = re.compile(r"0?[0-9]*(?:[doxX]|,)")  # how a number alone can be formatted
PLACEHOLDER = re.compile(r"\{\w*\}|%s")

Values = Mapping[str, Sequence["ast.expr | None"]]
Scopes = tuple[ast.AST, ...]  # the module, and the functions around an expression
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def values_of(top: ast.AST) -> Values:
    """Return what each name in a function or module is set to; None for what a loop, a call or a tuple gives it."""
    found: dict[str, list[ast.expr | None]] = {}
    known = set[ast.expr]()
    for node in ast.walk(top):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name, value in _paired(target, node.value):
                    found.setdefault(name.id, []).append(value)
                    known.add(name)
    for node in ast.walk(top):
        if isinstance(node, ast.arg):
            found.setdefault(node.arg, []).append(None)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in known:
            found.setdefault(node.id, []).append(None)
    return found


def _paired(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.Name, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, of_it in zip(target.elts, value.elts, strict=True):
            yield from _paired(one, of_it)


class Judge:
    """Finds the values of one module that are put into commands as they are. `listed` has what needs no quoting."""

    def __init__(self, module: object, listed: Mapping[str, Sequence[str]]) -> None:
        self.module = module
        self.used = set[str]()
        self._listed = {one for some in listed.values() for one in some}
        self._values_of = functools.cache(values_of)

    def faults(self) -> Iterator[str]:
        """Yield a line for each value that is neither quoted nor listed, and for each template of a command."""
        yield from self._below(self.module.tree, (self.module.tree,), is_hint=False)

    def _below(self, node: ast.AST, scopes: Scopes, *, is_hint: bool) -> Iterator[str]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, _FUNCTIONS):
            scopes = (*scopes, node)
        yield from self._in_text(node, scopes, is_hint=is_hint)
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
                yield from self._below(child, scopes, is_hint=is_hint or _is_hint(child))

    def _in_text(self, node: ast.AST, scopes: Scopes, *, is_hint: bool) -> Iterator[str]:
        match node:
            case ast.JoinedStr():
                for one in _in_commands(node, is_hint=is_hint):
                    if not self._needs_none(one, scopes):
                        yield self._said(one)
                for one in _in_quotes(node) if is_hint else ():
                    if not self._needs_none(one, scopes):
                        yield f"{self.module}:{node.lineno}: {ast.unparse(one)} stands in quotes: basic_string(…)"
            case ast.BinOp(left=ast.Constant() | ast.JoinedStr() as left, op=ast.Add() | ast.Mod(), right=right):
                if COMMAND.search(_text(left)) and not self._needs_none(right, scopes):
                    yield self._said(right)
            case ast.Constant(value=str(text)) if "\n" not in text:
                found = COMMAND.search(text)
                if found and PLACEHOLDER.search(text, found.end()) and not self._is_listed(text):
                    yield f"{self.module}:{node.lineno}: {text!r} is a template: write an f-string"

    def _said(self, node: ast.expr) -> str:
        return f"{self.module}:{node.lineno}: {ast.unparse(node)} stands in a command as it is: write quoted(…)"

    def _needs_none(self, node: ast.expr | None, scopes: Scopes, inside: frozenset[str] = frozenset()) -> bool:
        """Return whether a value in a command is quoted, or needs no quoting, whatever it is."""

        def all_of(*nodes: ast.expr | None) -> bool:
            return all(self._needs_none(one, scopes, inside) for one in nodes)

        if node is None:
            return False
        if self._is_listed(ast.unparse(node)):
            return True
        match node:
            case ast.Constant():
                return True
            case ast.FormattedValue(value=value, format_spec=form):
                return all_of(value) or (form is not None and bool(NUMBER.fullmatch(_text(form))))
            case ast.JoinedStr(values=pieces):
                return all_of(*pieces)
            case ast.IfExp(body=body, orelse=other):
                return all_of(body, other)
            case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[joined]):
                return self._joins_such(joined, scopes, inside)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return name in QUOTING
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.lstrip("_").isupper():
                return True  # a constant of the house
            case ast.Name(id=name) if name not in inside:
                inside |= {name}
                return all_of(*self._set_to(name, scopes))
        return False

    def _set_to(self, name: str, scopes: Scopes) -> Sequence[ast.expr | None]:
        """Return what the name is set to in the innermost function that sets it; None for what nobody knows."""
        found = (self._values_of(scope).get(name) for scope in reversed(scopes))
        return next((values for values in found if values is not None), [None])

    def _joins_such(self, node: ast.expr, scopes: Scopes, inside: frozenset[str]) -> bool:
        match node:
            case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=name), *_]):
                return name in QUOTING
            case ast.GeneratorExp(elt=one) | ast.ListComp(elt=one):
                return self._needs_none(one, scopes, inside)
            case ast.Name():
                return self._needs_none(node, scopes, inside)
        return False

    def _is_listed(self, text: str) -> bool:
        for one in (text, f"{self.module.name}: {text}"):
            if one in self._listed:
                self.used.add(one)
                return True
        return False


def _is_hint(node: ast.AST) -> bool:
    """Return whether a hint is made here: `hint=…`, an assignment to such a name, or words that are joined."""
    match node:
        case ast.GeneratorExp():
            return True
        case ast.keyword(arg=name) | ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name is not None and "hint" in name
    return False


def _in_commands(text: ast.JoinedStr, *, is_hint: bool) -> Iterator[ast.FormattedValue]:
    """Yield the values of an f-string behind the first command in it, or behind the first option if it is a hint."""
    before = ""
    for piece in text.values:
        if isinstance(piece, ast.FormattedValue):
            is_option = OPTION.search(before) if is_hint else before.startswith(" --")
            if COMMAND.search(before) or is_option:
                yield piece
            before += " cosmos build " if ast.unparse(piece.value) == "command" else "…"
        else:
            before += piece.value


def _in_quotes(text: ast.JoinedStr) -> Iterator[ast.FormattedValue]:
    """Yield the values of an f-string that begin right behind a double quote, or behind one and a path's beginning."""
    for before, piece in pairwise(text.values):
        if (
            isinstance(piece, ast.FormattedValue)
            and isinstance(before, ast.Constant)
            and str(before.value).rstrip("./").endswith('"')
        ):
            yield piece


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(one.value if isinstance(one, ast.Constant) else "…" for one in node.values)


def test_every_value_in_a_command_is_quoted_or_needs_no_quoting(modules: tuple) -> None:
    judges = [Judge(module, NEED_NONE) for module in modules]
    assert [line for judge in judges for line in judge.faults()] == []
    listed = {one for some in NEED_NONE.values() for one in some}
    assert listed.difference(*(judge.used for judge in judges)) == set()  # nothing is listed that is not there


@pytest.mark.parametrize(
    "text",
    [
        'error = Malformed(a, b, hint=f"cosmos freeze {folder}")',
        'error = Malformed(a, b, hint=f"cosmos freeze {quoted(folder)} --key {key}")',
        'say(f"next: stellar sign {folder / name}")',
        'say(f"if you do not need it: mv {path} {path}.old".strip())',
        'hint = f"chmod 600 {path}"',
        'say(f"to see it: cosmos show{option_of(root)}")',
        'error = Malformed(a, b, hint=f"leave out --var {name}=VALUE")',
        'text = " ".join(f"--whole {one}" for one in names)',
        'text = f" --root {root}"',
        'hint = f"{command} {path}"',
        'hint = f"rm {path!r}"',
        'hint = f"rm {path:>20}"',
        'text = "cosmos build " + folder',
        'text = "cosmos build %s" % folder',
        'HINT = "cosmos build {} --upgrade"',
        'HINT = "cosmos build {folder}"',
        """say(f"next: stellar scripts {' '.join(map(str, folders))}")""",
        """say(f"next: stellar scripts {' '.join(f'--star {one}' for one in folders)}")""",
        'def f(folder):\n    say(f"next: cosmos build {folder}")',
        'def f(a):\n    folder = quoted(a) if a else a\n    say(f"next: cosmos build {folder}")',
        'def f(a):\n    for folder in map(quoted, a):\n        folder = b\n        say(f"next: cosmos build {folder}")',
        'folder = quoted(a)\ndef f(folder):\n    say(f"next: cosmos build {folder}")',
        "hint = f'exclude = [\"{path.text}\"]'",
        'hint = f\'chmod("/{path.text}", "0600")\'',
        "hint = f'template = \"./{named}\"'",
    ],
)
def test_a_value_in_a_command_without_quotes_is_caught(text: str, plant: Planter) -> None:
    assert 1 <= len([*Judge(plant(text), NEED_NONE).faults()]) <= 2


@pytest.mark.parametrize(
    "text",
    [
        'error = Malformed(a, b, hint=f"cosmos freeze {quoted(folder)} --key {quoted(key)}")',
        'say(f"{path}: is not there; next: cosmos build IMAGE")',
        'say(f"if you do not need it: mv {root.pasted(path)} {root.pasted(path, end)}")',
        'def f(a):\n    one, other = quoted(a), f"--key {quoted(a)}"\n    say(f"next: cosmos build {one}{other}")',
        'say(f"next: cosmos build {quoted(folder) if folder else IMAGE} --format {model.FORMAT}")',
        """say(f"next: stellar scripts {' '.join(map(quoted, folders))}")""",
        """say(f"next: stellar scripts {' '.join(f'--star {quoted(one)}' for one in folders)}")""",
        'hint = f"chmod {mode:04o} {quoted(path)}"',
        'hint = f"take {path} out of it"',
        "hint = f'chmod({in_lua(path)}, \"0600\")'",
        "hint = f'owners = {{ {basic_string(path.text)} = {basic_string(one)} }}'",
        'raise Malformed(f"--var {name}", f"this cosmos has zstd {version}, and cosmos builds {name}")',
        'text = "cosmos build " + quoted(folder)',
    ],
)
def test_a_command_that_can_be_pasted_passes(text: str, plant: Planter) -> None:
    assert [*Judge(plant(text), NEED_NONE).faults()] == []
