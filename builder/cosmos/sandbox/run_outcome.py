"""`RunOutcome`: the result of a program in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos.digest import Digest
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """The result of a program: its exit status, its tree after the run, and its last lines of output.

    `tools` is the content root of the tree that it had at `/`; None if that was the machine's own. `began` is when it
    began, in seconds since 1970; 0 if that is not known.
    """

    status: int
    tree: Mapping[TreePath, Entry]
    last: str = ""
    tools: Digest | None = None
    began: int = 0
