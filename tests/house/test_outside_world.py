"""Only the command line may touch the world outside: no other room prints, exits, or reads arguments or the clock.

Each rule is a table of names. Exceptions stand beside it with their reasons. A test shows that each rule catches an
offender.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

# Names that only cli/ may use, and what for.
CLI_ONLY = {
    "print": "prints",
    "input": "asks",
    "exit": "exits",
    "quit": "exits",
    "sys.exit": "exits",
    "SystemExit": "exits",
    "os._exit": "exits",
    "os.abort": "exits",
    "sys.stdin": "reads the terminal",
    "sys.stdout": "prints",
    "sys.stderr": "prints",
    "sys.argv": "reads the arguments",
    "os.environ": "reads the environment",
    "os.environb": "reads the environment",
    "os.getenv": "reads the environment",
    "os.putenv": "changes the environment",
    "os.path.expanduser": "reads the environment",
    "os.path.expandvars": "reads the environment",
    "pathlib.Path.home": "reads the environment",
    "os.getlogin": "reads the environment",
    "time.time": "reads the clock",
    "time.time_ns": "reads the clock",
    "time.localtime": "reads the clock",
    "time.gmtime": "reads the clock",
    "time.ctime": "reads the clock",
    "time.strftime": "reads the clock",
    "datetime.datetime.now": "reads the clock",
    "datetime.datetime.utcnow": "reads the clock",
    "datetime.datetime.today": "reads the clock",
    "datetime.date.today": "reads the clock",
    "os.urandom": "is random",
    "uuid.uuid1": "is random",
    "uuid.uuid4": "is random",
    "os.umask": "changes the process",
    "os.chdir": "changes the process",
}

# Modules, and the rooms that may import them. A room that is missing here may not.
ROOMS_OF = {
    "subprocess": {"process"},
    "pty": {"process"},
    "socket": {"transport"},
    "urllib.request": {"transport"},
    "urllib.error": {"transport"},
    "http.client": {"transport"},
    "ssl": {"transport"},
    "lupa": {"nova"},
    "nacl": {"trust", "keyring"},
    "zstandard": {"pack"},
    "backports": {"pack"},
    "jinja2": {"nova", "release"},  # release: the page of `cosmos report`, whose template is our own
    "license_expression": {"stellar"},
    "elftools": {"release"},
    "click": {"cli"},
    "tomllib": {"tables"},
    "argparse": set[str](),
    "getpass": {"cli"},
    "logging": set[str](),
    "random": set[str](),
    "secrets": set[str](),
    "locale": set[str](),
    "pickle": set[str](),
    "marshal": set[str](),
    "shelve": set[str](),
    "tarfile": set[str](),  # it follows links out of its folder: archives are read by pack/untar.py
    "zipfile": set[str](),
    "shlex": {"cli"},  # a hint is a line for a person's shell; programs get lists
}

# Ways to start a program other than process.py's own.
STARTERS = ("os.system", "os.popen", "os.exec", "os.spawn", "os.posix_spawn", "os.startfile", "pty.spawn")

# Modules that make processes which are no programs, and ask in each that it dies with its parent.
FORKERS = {"sandbox.zygote", "sandbox.locked", "image.workshop.staging"}

# (module, name) -> why it may.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("sandbox.locked", "os._exit"): "a forked worker must not run the ends of what it was forked from",
    ("sandbox.locked", "os.exec"): "the probe tries to start a program from within the sandbox, which must be refused",
    ("sandbox.locked", "socket"): "the probe tries to make a socket within the sandbox, which must be refused",
    ("nova.template_worker", "os._exit"): "a forked worker whose memory is used up can do no more than end",
    ("sandbox.zygote", "os._exit"): "a forked process must not run the ends of what it was forked from",
    ("sandbox.zygote", "socket"): "the zygote is asked for workers on a socket of this machine that has no address",
    ("sandbox.conversation", "socket"): "the channel to a worker is two sockets of this machine without an address",
    ("sandbox.zygote", "os.environb"): "a secret is planted in the environment, so that the probe can see it wiped",
}

Planter = Callable[..., object]


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: `from os import environ as e` gives `e` -> `os.environ`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def imported_modules(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each import as (line, dotted name), `from a import b` as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def used_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each name that is read, as (line, full dotted name), imports resolved."""
    names = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            dotted = dotted_name(node)
            if dotted:
                first, dot, rest = dotted.partition(".")
                yield node.lineno, names.get(first, first) + dot + rest


def dotted_name(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of attributes on a name, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        below = dotted_name(node.value)
        return f"{below}.{node.attr}" if below else ""
    return ""


def effects(module: object) -> list[str]:
    """Return the effects of `module` that only the command line may have."""
    if module.room == "cli":
        return []
    used = {(line, name) for line, name in used_names(module.tree) if name in CLI_ONLY}
    return [
        f"{module}:{line}: {name} {CLI_ONLY[name]}; only cli/ may"
        for line, name in sorted(used)
        if (module.name, name) not in EXCEPTIONS
    ]


def strange_imports(module: object) -> list[str]:
    """Return the imports of `module` that its room may not make."""
    found = []
    for line, name in sorted(imported_modules(module.tree)):
        for banned, rooms in ROOMS_OF.items():
            is_it = name == banned or name.startswith(banned + ".")
            if is_it and module.room not in rooms and (module.name, banned) not in EXCEPTIONS:
                found.append(f"{module}:{line}: imports {name}; may: {', '.join(sorted(rooms)) or 'nobody'}")
    return found


def started_programs(module: object) -> list[str]:
    """Return the lines where `module` starts a program without process.py."""
    if module.name == "process":
        return []
    return [
        f"{module}:{line}: {name}; programs start in process.py"
        for line, name in sorted(set(used_names(module.tree)))
        if name.startswith(STARTERS)
        and not any(module.name == where and name.startswith(start) for where, start in EXCEPTIONS)
    ]


def test_only_the_command_line_prints_exits_and_reads_arguments_environment_and_clock(modules: tuple) -> None:
    assert [line for module in modules for line in effects(module)] == []


def test_each_outside_module_is_imported_by_its_own_rooms_alone(modules: tuple) -> None:
    assert [line for module in modules for line in strange_imports(module)] == []


def test_programs_start_in_one_module(modules: tuple) -> None:
    assert [line for module in modules for line in started_programs(module)] == []


def test_processes_are_forked_where_each_dies_with_its_parent(modules: tuple) -> None:
    forks = ("os.fork", "os.forkpty", "multiprocessing", "concurrent.futures.ProcessPoolExecutor")
    found = {module.name: module for module in modules for _, name in used_names(module.tree) if name.startswith(forks)}
    assert found.keys() == FORKERS
    asking = {name for name, module in found.items() if "die_with" in module.text}
    assert FORKERS - asking == {"sandbox.locked"}, "its fork is the probe's, and must be refused"


def test_every_exception_is_still_needed_and_has_a_reason(modules: tuple) -> None:
    used = {
        (module.name, name)
        for module in modules
        for name in [
            *(name for _, name in used_names(module.tree)),
            *(name for _, name in imported_modules(module.tree)),
        ]
    }
    needed = {(module, name) for module, name in EXCEPTIONS if any(m == module and n.startswith(name) for m, n in used)}
    assert set(EXCEPTIONS) == needed
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


@pytest.mark.parametrize(
    "line",
    [
        "print('hello')",
        "import sys; sys.exit(1)",
        "from sys import exit as leave; leave(1)",
        "raise SystemExit(2)",
        "import os; home = os.environ['HOME']",
        "from os import environ; home = environ",
        "import os as system; system.getenv('HOME')",
        "from pathlib import Path; Path.home()",
        "import time; now = time.time()",
        "from datetime import datetime; datetime.now()",
        "import datetime; datetime.datetime.now()",
        "import sys; sys.stderr.write('x')",
    ],
)
def test_an_effect_below_the_command_line_is_caught(line: str, plant: Planter) -> None:
    assert effects(plant(line))
    assert not effects(plant(line, name="cli.planted"))


@pytest.mark.parametrize(
    "line", ["import subprocess", "from subprocess import run", "import tarfile", "from nacl import signing"]
)
def test_an_import_in_a_strange_room_is_caught(line: str, plant: Planter) -> None:
    assert strange_imports(plant(line))


@pytest.mark.parametrize("line", ["import os; os.system('ls')", "from os import execvp; execvp('ls', [])"])
def test_a_program_that_is_started_elsewhere_is_caught(line: str, plant: Planter) -> None:
    assert started_programs(plant(line))
