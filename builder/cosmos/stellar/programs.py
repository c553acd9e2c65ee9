"""`run()` in `build()`: a program of this machine's /usr, in bubblewrap, on a copy of the source tree.

The program sees no file of the maintainer, no network and no other process. Its result depends on the programs of this
machine, so a warning says that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from cosmos.model.reporter import Reporter
from cosmos.records import dataclass
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_BUILD_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPrograms:
    """Runs programs of this machine. `epoch` is the time of the files that they make."""

    epoch: int
    reporter: Reporter

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run `words` in a copy of `tree` and return the changed tree; raises `WorldFailed`."""
        program = os.fsdecode(words[0])
        self.reporter.warn(f"build(): {program} is this machine's own: its result may differ on other machines")
        bubble = Bubble(tools=HOST_TOOLS, epoch=self.epoch, timeout_seconds=_BUILD_SECONDS, where="build()")
        return bubble.run(words, env, tree)
