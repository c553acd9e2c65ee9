"""`NovaJob`: one script to run, and everything that it may see; `NovaResult`: what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from cosmos.nova.receipt import Receipt
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

Free: TypeAlias = Literal["own", "any"]


def unmapped(path: TreePath) -> TreePath:
    """Return `path`: no folders are merged."""
    return path


class ProgramRunner(Protocol):
    """Runs programs for `run()`. Whether one may is the operator's decision, never the star's."""

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run the program `words` with `tree` as its working folder; raises `WorldFailed` where it does not start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NovaJob:
    """One script.

    `star` and `script_name` are for messages. `files` is what the archive holds below `files/`, `beside` what lies at
    its root. `root` is what the script may see besides its own: the layers of the star's dependencies. `own` is its
    layer to begin with: empty for a star; with `free="any"` (an image's finish script) the whole tree, any path of
    which it may change. `path_map` is applied to each path that the script names or copies to (merged /usr). Times of
    what it makes are `epoch`. Without `programs`, `run()` is refused, and `run_hint` says how it could be allowed.
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
    free: Free = "own"


@dataclass(frozen=True, kw_only=True, slots=True)
class NovaResult:
    """The script's layer by path, in byte order, and its receipt.

    Folders that the script made or copied are in it; folders that only lie above something are not (they are `0755 0
    0`).
    """

    entries: dict[TreePath, Entry]
    receipt: Receipt
