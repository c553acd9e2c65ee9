"""What a rebuild is to try, and what came of it: its trials, the variations that make a difference, and the causes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.image.rebuild.original import Original
from cosmos.image.rebuild.variations import Variation
from cosmos.model.release import Builder
from cosmos.nova.templating.secret import Secret
from cosmos.records import dataclass
from cosmos.release.diff.comparison import Comparison
from cosmos.treepath import TreePath

CALM: Final = "the same machine"  # the name of the trial in which nothing is varied, or of the first of several
EVERYTHING: Final = "everything at once"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilder:
    """How to start this program again: command line, environment, identity, and its description in RELEASE.json."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    identity: str
    builder: Builder


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildOptions:
    """What to try. `times` is how often the calm rebuild is made. `kept`: where rebuilt releases stay, or None.

    `base` is a vendored folder, or the folder at which relative galaxy paths start. `secrets` are the values of the
    secret variables.
    """

    variations: tuple[Variation, ...]
    times: int
    kept: Path | None
    base: Path
    secrets: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One rebuild: what was varied, and what came of it.

    `problem` is a sentence if it could not be made: then nothing was compared. `files` are the names of the files that
    differ. `comparison` says in what, if one does. `builder` is the program that built. `unlike` are the places of the
    programs that made something else in the receipts of their scripts (`culprit.first_unlike`). `started` are the
    programs of the machine that the build started although it must not depend on them.
    """

    name: str
    what: str
    problem: str = ""
    files: tuple[str, ...] = ()
    content_root: Digest | None = None
    builder: Builder | None = None
    comparison: Comparison | None = None
    unlike: Mapping[str, int] = field(default_factory=dict)
    started: tuple[str, ...] = ()

    @property
    def paths(self) -> frozenset[TreePath]:
        """The paths that differ."""
        tree = None if self.comparison is None else self.comparison.tree
        return frozenset() if tree is None else frozenset(one.path for one in tree.differences)

    @property
    def is_same(self) -> bool:
        """Whether every file came out as in the release."""
        return not self.problem and not self.files


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """All trials. `culprits` are the variations that, alone or together, make a difference. `causes` names for each
    path that differs the variations with which it does, each alone; none if it differs although nothing is varied.

    `poisoned` are sentences about records in the builder's store that this home did not write, or that have another
    layer than the rebuild.

    `same_contents` is whether every rebuild has the release's content root; `is_same` whether every file is the same.
    """

    original: Original
    content_root: Digest
    trials: tuple[Trial, ...]
    not_tried: Mapping[str, str]
    culprits: tuple[str, ...]
    causes: Mapping[TreePath, tuple[str, ...]]
    poisoned: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether every file of every rebuild is the same as in the release."""
        return all(trial.is_same for trial in self.trials)

    @property
    def same_contents(self) -> bool:
        """Whether every rebuild has the release's content root."""
        return all(not trial.problem and trial.content_root == self.content_root for trial in self.trials)


def causes_of(trials: list[Trial], here: tuple[Variation, ...]) -> Mapping[TreePath, tuple[str, ...]]:
    """Return for each path that differs the variations with which it does, none if it differs without any."""
    alone = {one.name for one in here}
    calm = {path for trial in trials if trial.name not in alone and trial.name != EVERYTHING for path in trial.paths}
    return {
        path: () if path in calm else tuple(one.name for one in trials if one.name in alone and path in one.paths)
        for path in sorted({path for trial in trials for path in trial.paths})
    }


def smallest(
    guilty: tuple[Variation, ...], makes_a_difference: Callable[[tuple[Variation, ...]], bool]
) -> tuple[Variation, ...]:
    """Return a subset that still makes a difference and of which nothing can be left out.

    The method is ddmin without its search in the parts themselves (Zeller and Hildebrandt, 2002).
    """
    parts = 2
    while len(guilty) > 1:
        size = -(-len(guilty) // parts)
        for start in range(0, len(guilty), size):
            rest = guilty[:start] + guilty[start + size :]
            if rest and makes_a_difference(rest):
                guilty, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(guilty):
                break
            parts = min(2 * parts, len(guilty))
    return guilty
