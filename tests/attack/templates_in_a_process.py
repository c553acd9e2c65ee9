"""Renders hostile templates in a process that is unlike others; prints each answer (test_hostile_templates.py).

    python templates_in_a_process.py SEED COUNT FRAMES

`FRAMES` are the frames of Python's stack below each template.

After its imports, the process can load no further module, and so no codec.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

from cosmos.image import template as _rootfs
from cosmos.nova.templates import rendered, rendered_of_many
from cosmos.nova.templating import values
from cosmos.nova.templating.scan import TemplateProblem
from fakes.templates import HOSTILE, NAMES, grown, mutated

_LOADED = _rootfs  # so that both places are loaded before the door closes
_WORK = 50_000  # steps of one template: a twentieth of what is allowed in earnest


class Nothing:
    """Finds no module: stands before the other finders."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Refuse."""
        raise ImportError(f"{name} was loaded late")


def answers(template: str) -> list[str]:
    """Return what comes of a template of a star, and of one of a rootfs."""
    variables = json.dumps(NAMES).encode()
    said = []
    for which in ("star", "rootfs"):
        try:
            source = template.encode("utf-8", "surrogatepass")
            if which == "star":
                made = rendered(source, variables)
            else:
                files = {"a": template, "b.j2": "{% include 'a' %}", "m": "{% macro b() %}b{{ n }}{% endmacro %}"}
                made = rendered_of_many("a", template, dict(NAMES), files.get).data
            said.append(made.decode())
        except TemplateProblem as problem:
            said.append(f"{problem.name}:{problem.line}: {problem.text}")
    return said


def deeply(template: str, frames: int) -> list[str]:
    """Return the answers with more of Python's stack in use."""
    return deeply(template, frames - 1) if frames else answers(template)


def main(seed: str, count: str, frames: str) -> None:
    """Print the answers as one JSON list."""
    templates = [*HOSTILE, *mutated(int(seed), int(count)), *grown(int(seed), int(count))]
    sys.meta_path.insert(0, Nothing())
    said = [deeply(template, int(frames)) for template in templates]
    sys.meta_path.pop(0)
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    values.MAX_TEMPLATE_WORK = _WORK
    main(*sys.argv[1:])
