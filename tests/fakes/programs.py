"""Run the programs in this process, as a user would type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it exited."""

    code: int
    out: str
    err: str

    def ok(self) -> Outcome:
        """Return this outcome, which must be exit 0."""
        assert self.code == 0, f"exit {self.code}\n{self.out}\n{self.err}"
        return self

    def fails(self, code: int) -> Outcome:
        """Return this outcome, which must be exit `code` with one error line."""
        assert self.code == code, f"want exit {code}, got {self.code}\n{self.out}\n{self.err}"
        assert "error: " in self.err, self.err
        return self

    def json(self) -> Any:
        """Return what it answered in JSON, at exit 0."""
        return json.loads(self.ok().out)


Cosmos = Callable[..., Outcome]
