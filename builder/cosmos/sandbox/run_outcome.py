"""`RunOutcome`: what a program of the sandbox left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cosmos.digest import Digest
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """What a program left behind: its exit status, the tree that it was given as it is now, its last lines.

    `tools` is the content root of the tree that it had at `/`; None where that was the machine's own.
    """

    status: int
    tree: Mapping[TreePath, Entry]
    last: str = ""
    tools: Digest | None = None
