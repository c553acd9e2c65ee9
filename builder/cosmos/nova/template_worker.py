"""The untrusted side of `render`: the templates of one script, in a process as confined as the script's own.

A template comes from its star. People have found ways out of Jinja2's own sandbox more than once (CVE-2024-56326,
CVE-2025-27516). An attacker who finds a way out of our rules is in this process, and can only compute. This module has
its own zygote, so that Jinja2 is loaded once, and not into the zygote from which scripts are forked.
"""

from __future__ import annotations

import gc
import os
from typing import NoReturn

from cosmos.nova import templates
from cosmos.nova.messages import ANSWER, TEMPLATE
from cosmos.nova.templating.scan import TemplateProblem
from cosmos.sandbox import locked
from cosmos.sandbox.exit_status import OUT_OF_MEMORY
from cosmos.sandbox.values import Scalar
from cosmos.sandbox.wire import frame, opened

templates.rendered(b"{{ 0 }}", b"{}")  # what Jinja2 makes for its first template is made in the zygote


def work(channel: int) -> NoReturn:
    """Render each template that comes on `channel`, until the other side closes it."""
    locked.work(channel, _serve)


def _serve(channel: int, _job: tuple[Scalar, ...]) -> NoReturn:
    while True:
        _, (template, variables) = opened(locked.read(channel), TEMPLATE)
        try:
            locked.write(channel, frame(ANSWER, _answer(locked.text(template), locked.text(variables))))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        gc.collect()  # off by itself since the zygote; an error holds, in a circle, what its template had made


def _answer(template: bytes, variables: bytes) -> tuple[Scalar, ...]:
    try:
        return True, templates.rendered(template, variables)
    except TemplateProblem as problem:
        return False, problem.text.encode("utf-8", "backslashreplace"), problem.line
