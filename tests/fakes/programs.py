"""Run the programs in this process, as a user would type them, or put them where a shell finds them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """The output and the exit code of a command."""

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
        """Return its JSON output, after exit 0."""
        return json.loads(self.ok().out)


Cosmos = Callable[..., Outcome]


def typed(command: str, programs: Mapping[str, Cosmos]) -> Outcome:
    """Run a command line of a page: a plain call of one of `programs` in this process, anything else in a shell."""
    words = command.split()
    if words[0] in programs and re.search(r"[^\w\s/.,:=@^'\"-]", command) is None:
        return programs[words[0]](*shlex.split(command)[1:])
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


def write_programs(folder: Path, before: str = "") -> Path:
    """Write `cosmos` and `stellar` into the new folder `folder`, for a shell's path, and return it.

    `before` is Python that runs before the program.

    They begin as shell, and go on as Python: a `#!` line can hold no folder with a space.
    """
    folder.mkdir()
    for name in ("cosmos", "stellar"):
        program = folder / name
        program.write_text(
            f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} \"$0\" \"$@\"\n' '''\n"
            f"import sys\nsys.path.insert(0, {str(REPO / 'builder')!r})\n"
            f"{before}\nfrom cosmos.cli.{name}.main import main\nmain()\n"
        )
        program.chmod(0o755)
    return folder
