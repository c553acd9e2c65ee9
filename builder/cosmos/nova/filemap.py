"""Compare the outputs that a script declares (`filemap`) with the paths that it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from cosmos.globs import Glob
from cosmos.nova.arguments import path_of
from cosmos.nova.meter import Meter, VerbError
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, escaped

_SHOWN = 5  # differences named in the error


@dataclass(kw_only=True, slots=True)
class Filemap:
    """The declared outputs: globs, each with its required mode or None."""

    is_declared: bool = False
    _wanted: list[tuple[Glob, int | None]] = field(default_factory=list)

    def declare(self, raw: bytes, mode: int | None, path_map: Callable[[TreePath], TreePath]) -> None:
        """Add one; raises `VerbError`."""
        path = path_of(raw)
        if not path:
            raise VerbError("the root is no output")
        try:
            self._wanted.append((Glob.parse(path_map(path)), mode))
        except ValueError as error:
            raise VerbError(str(error)) from None

    def difference(self, made: Mapping[TreePath, Entry], meter: Meter) -> str | None:
        """Return how the files in `made` differ from the declared outputs, or None if they do not."""
        if not self.is_declared:
            return None
        problems: list[str] = []
        unmet = set(range(len(self._wanted)))
        for path, entry in sorted(made.items()):
            fitting = [place for place, (glob, _) in enumerate(self._wanted) if glob.matches(path, meter.charge)]
            meter.charge(len(self._wanted))
            unmet.difference_update(fitting)
            modes = {mode for _, mode in (self._wanted[place] for place in fitting) if mode is not None}
            if not fitting and entry.kind != "dir":
                problems.append(f"/{path.text} is made but not declared")
            elif modes and entry.mode not in modes:
                problems.append(f"/{path.text} has the mode {entry.mode:04o}, declared is {min(modes):04o}")
        problems += [
            f"/{escaped(b'/'.join(self._wanted[place][0].parts))} is declared but not made" for place in sorted(unmet)
        ]
        if not problems:
            return None
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        return ", ".join(problems[:_SHOWN]) + more
