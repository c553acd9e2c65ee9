"""`NovaJob`: one script to run, and everything that it may see. `NovaResult`: its layer and its receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal, Protocol, TypeAlias

from cosmos.errors import ScriptFailed
from cosmos.limits import MAX_STAR_UNPACKED_BYTES
from cosmos.nova.receipt import Receipt
from cosmos.records import dataclass
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

Free: TypeAlias = Literal["own", "any"]


def unmapped(path: TreePath) -> TreePath:
    """Return `path`: no folders are merged."""
    return path


class ProgramRunner(Protocol):
    """Runs programs for `run()`. The operator decides whether a star may run programs, never the star."""

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run the program `words` with `tree` as its working folder; raises `WorldFailed` if it does not start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A script that failed. `tree` is what a program of `run()` would see at /stage at that moment, with `env` besides.

    `command` are the words of the program that failed; empty if it was another verb.
    """

    problem: ScriptFailed
    command: tuple[str, ...]
    env: Mapping[bytes, bytes]
    tree: Mapping[TreePath, Entry]


@dataclass(frozen=True, kw_only=True, slots=True)
class NovaJob:
    """One script.

    `star` and `script_name` are for messages. `files` are the archive's entries below `files/`, `beside` those at its
    root. `root` holds the layers of the star's dependencies, which the script may read. `own` is its own layer at the
    start: empty for a star; with `free="any"` (an image's finish script) the whole tree, of which it may change any
    path. `path_map` is applied to each path that the script names or copies to (merged /usr). Entries that it makes get
    the time `epoch`. It may copy files of `max_copied_bytes` together, because one small file, copied often, makes a
    large layer. Without `programs`, `run()` is refused, and `run_hint` says how to allow it. `on_failure` is called
    before the error is raised, if a verb was the script's end; nothing that it does can change a result.
    """

    star: str
    script_name: str
    script: bytes
    files: Mapping[TreePath, Entry]
    beside: Mapping[TreePath, Entry] = field(default_factory=dict)
    root: Mapping[TreePath, Entry] = field(default_factory=dict)
    own: Mapping[TreePath, Entry] = field(default_factory=dict)
    epoch: int
    path_map: Callable[[TreePath], TreePath] = unmapped
    programs: ProgramRunner | None = None
    run_hint: str = "an operator can allow it: [policy] run"
    on_failure: Callable[[Stopped], None] | None = None
    free: Free = "own"
    max_copied_bytes: int = MAX_STAR_UNPACKED_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class NovaResult:
    """The script's layer by path, in byte order, and its receipt.

    It holds the folders that the script made or copied, but not implied folders (which are `0755 0 0`).
    """

    entries: dict[TreePath, Entry]
    receipt: Receipt
