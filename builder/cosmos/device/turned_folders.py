"""Where the paths of a transaction are while a folder and another entry change places.

The two change names in one step, as in each `replace` (device.transaction). Until then everything that comes into a
new folder is in the folder's temporary, and from then on everything that was in an old folder is. So a transaction
exchanges new folders first and old folders last, and a recovery puts old folders back first and new folders last.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from cosmos.device.root import LiveRoot
from cosmos.model.changes import Replace
from cosmos.model.journal import Step, beside
from cosmos.treepath import TreePath


class TurnedFolders:
    """The paths at which a folder and another entry change places, as steps are added."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._temporaries: dict[TreePath, bytes] = {}
        self.add(steps)

    def add(self, steps: Iterable[Step]) -> None:
        """Add the paths of these steps."""
        self._temporaries |= {step.change.path: step.temporary for step in steps if turn_of(step)}

    def aside(self, path: TreePath) -> TreePath:
        """Return where `path` is while the folder above it has its temporary's name; `path` if no such folder is."""
        for above in path.parents if self._temporaries else ():
            if above in self._temporaries:
                return TreePath(beside(above, self._temporaries[above]) + path[len(above) :])
        return path

    def is_reached(self, root: LiveRoot, path: TreePath) -> bool:
        """Return whether each folder among `path` and those above it that changes places is a folder just now."""
        turning = [step for step in (*path.parents, path) if step in self._temporaries] if self._temporaries else ()
        found = [root.stat(step) for step in turning]
        return all(one is not None and stat.S_ISDIR(one.st_mode) for one in found)


def turn_of(step: Step) -> int:
    """Return 1 if the step puts a folder in place of another entry, -1 for the opposite, and otherwise 0."""
    change = step.change
    return change.brings_folder - change.takes_folder if isinstance(change, Replace) else 0
