"""`Finding`: one thing that an image should not be shipped with."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos.release.lint.rules import RuleId
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Finding:
    """A path that breaks a rule, and how. `what` never repeats a secret. `star` owns the path: NAME-VERSION, or ""."""

    path: TreePath
    rule: RuleId
    what: str
    star: str = ""
